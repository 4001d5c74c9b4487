"""Whether work waits for a store of files that is full or unavailable.

Work that a person cancels or interrupts must end soon: it does not wait any longer, and continues
without the files. This holds for everything that the work awaits, also in other tasks.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ENDED: ContextVar[asyncio.Event | None] = ContextVar("patience_ended", default=None)


@contextmanager
def limit_waits() -> Iterator[asyncio.Event]:
    """Let the work of this block wait for a store until the returned event is set."""
    ended = asyncio.Event()
    token = _ENDED.set(ended)
    try:
        yield ended
    finally:
        _ENDED.reset(token)


@contextmanager
def refuse_waits() -> Iterator[None]:
    """Let the work of this block use the store, but not wait for it."""
    with limit_waits() as ended:
        ended.set()
        yield


async def pause(seconds: float) -> bool:
    """Wait before another attempt to use the store; return False at once if it must not wait."""
    ended = _ENDED.get()
    if ended is None:
        await asyncio.sleep(seconds)
        return True
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except TimeoutError:
        return True
    return False
