"""Waiting for a condition; no test sleeps for a time and hopes.

A limit tells what works from what hangs, on a machine that ten others use too: ten times what is
needed alone, and far less than what a broken feature takes. How fast things are is for `bench/`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02
WITHIN_SECONDS = 90.0


def until(
    condition: Callable[[], T], *, within: float = WITHIN_SECONDS, what: str = "the condition"
) -> T:
    """Poll until `condition` is true and return what it returned."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {within:.0f} s"
        time.sleep(POLL_SECONDS)
    return value


async def now_within_an_hour() -> datetime:
    """Now, in UTC: for a minute at least neither the hour nor the day ends."""

    async def is_clear() -> bool:
        return datetime.now(UTC).minute < 59

    await eventually(is_clear, what="the next hour")
    return datetime.now(UTC)


async def eventually(
    condition: Callable[[], Awaitable[T]],
    *,
    within: float = WITHIN_SECONDS,
    what: str = "the condition",
) -> T:
    """As `until`, for a condition that is awaited."""
    deadline = time.monotonic() + within
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {within:.0f} s"
        await asyncio.sleep(POLL_SECONDS)
    return value
