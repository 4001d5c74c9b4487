"""Large request bodies: each user has one at a time, so that others are not affected.

A large body occupies memory until its request ends, and parsing it stops the process for a moment.
"""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID
from weakref import WeakValueDictionary

LARGE_BYTES = 256 * 1024
"""Ordinary bodies have some KB (chosen)."""

PAUSE_FACTOR = 3.0
MOST_PAUSE_SECONDS = 2.0
"""After a large body, the user's next one waits three times as long as it took to handle, so that
one user takes at most a quarter of the process with them (chosen)."""


class LargeBodies:
    """The turns of the users of one process."""

    def __init__(self) -> None:
        """At first, each user can begin."""
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def wait(self, user_id: UUID) -> asyncio.Lock:
        """Wait for the turn of this user, before more of the body is read."""
        lock = self._turns.setdefault(user_id, asyncio.Lock())
        await lock.acquire()
        return lock


def end_turn_after(lock: asyncio.Lock, began: float) -> Callable[[], None]:
    """A function that ends the turn of a body, which was complete at `began` (monotonic)."""

    def leave() -> None:
        pause = min(PAUSE_FACTOR * (time.monotonic() - began), MOST_PAUSE_SECONDS)
        asyncio.get_running_loop().call_later(pause, lock.release)

    return leave
