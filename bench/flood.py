"""Running many executions with a fixed number in flight; used by the driver and by peers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


async def flood(
    work: Callable[[Item], Awaitable[object]], items: Sequence[Item], *, in_flight: int
) -> list[float]:
    """Do `work` for every item and return the seconds each took, in the order they ended."""
    waiting = iter(items)
    seconds: list[float] = []

    async def one_after_another() -> None:
        for item in waiting:
            began = time.perf_counter()
            await work(item)
            seconds.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(in_flight, len(items))):
            group.create_task(one_after_another())
    return seconds
