"""Waiting for a condition; no test sleeps for a time and hopes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02


def until(condition: Callable[[], T], *, within: float = 30.0, what: str = "the condition") -> T:
    """Poll until `condition` is true and return what it returned."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {within:.0f} s"
        time.sleep(POLL_SECONDS)
    return value


async def eventually(
    condition: Callable[[], Awaitable[T]], *, within: float = 30.0, what: str = "the condition"
) -> T:
    """As `until`, for a condition that is awaited."""
    deadline = time.monotonic() + within
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {within:.0f} s"
        await asyncio.sleep(POLL_SECONDS)
    return value
