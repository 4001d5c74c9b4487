"""What a worker runs beside its task queues: begun one after the other, ended together."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

APART = timedelta(seconds=0.25)
"""Companions that look at once want a connection each, which Postgres then keeps at 4 MB apiece;
one after the other they share one or two (chosen: a look takes some 10 ms, several times that on a
busy machine)."""


@asynccontextmanager
async def run_alongside(*companions: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these while the block runs, and end them with it; they begin `APART`."""
    running = [
        asyncio.ensure_future(_later(place * APART, companion))
        for place, companion in enumerate(companions)
    ]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def _later(after: timedelta, companion: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.sleep(after.total_seconds())
    except asyncio.CancelledError:
        companion.close()
        raise
    await companion
