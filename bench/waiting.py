"""Waiting for a condition."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05
"""Shorter than anything a condition is used to time, long enough to cost nothing."""


async def eventually(condition: Callable[[], Awaitable[T]], *, within: float, what: str) -> T:
    """Poll until `condition` is true and return what it returned.

    Raises:
        TimeoutError: it did not come true.
    """
    deadline = time.monotonic() + within
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {within:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
    return value
