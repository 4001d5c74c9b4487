"""Waiting for a condition; no test sleeps for a fixed time instead.

A time limit separates what works from what hangs, on a machine that others use too: it is ten times
what is needed on an idle machine. How fast things are is measured in `bench/`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")

WITHIN_SECONDS = 90.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, GROWTH = 0.01, 0.1, 1.3
"""Between two looks: a short wait ends soon, and a long one costs little CPU (chosen)."""


def until(
    condition: Callable[[], T | None],
    *,
    within: float = WITHIN_SECONDS,
    what: str = "the condition",
) -> T:
    """Poll until `condition` is true and return what it returned."""
    pauses = _pauses(within, what)
    while not (value := condition()):
        time.sleep(next(pauses))
    return value


async def eventually(
    condition: Callable[[], Awaitable[T | None]],
    *,
    within: float = WITHIN_SECONDS,
    what: str = "the condition",
) -> T:
    """As `until`, for a condition that is awaited."""
    pauses = _pauses(within, what)
    while not (value := await condition()):  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(next(pauses))
    return value


async def now_within_an_hour() -> datetime:
    """Now, in UTC. For at least half a minute, neither the hour nor the day ends."""

    async def is_clear() -> bool:
        now = datetime.now(UTC)
        return now.minute < 59 or now.second < 30

    await eventually(is_clear, what="the next hour")
    return datetime.now(UTC)


def _pauses(within: float, what: str) -> Iterator[float]:
    """The pauses between two looks at a condition.

    Raises:
        AssertionError: the time is over.
    """
    deadline = time.monotonic() + within
    pause = FIRST_PAUSE_SECONDS
    while time.monotonic() < deadline:
        yield pause
        pause = min(pause * GROWTH, LONGEST_PAUSE_SECONDS)
    raise AssertionError(f"{what} did not come within {within:.0f} s")
