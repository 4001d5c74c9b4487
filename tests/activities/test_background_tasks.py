"""Periodic tasks: when the next sweep starts, and that an error stops no task."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from activities import background_tasks
from activities.background_tasks import PeriodicTask, run_alongside
from tests.waiting import eventually

NEVER = 1e6


class Sweeps:
    """A sweep that returns the given results in order, then waits until it is cancelled."""

    def __init__(self, *results: int | Exception | None) -> None:
        self._results = list(results)
        self.count = 0

    async def __call__(self) -> int | None:
        if self.count == len(self._results):
            await asyncio.Event().wait()
        result = self._results[self.count]
        self.count += 1
        if isinstance(result, Exception):
            raise result
        return result

    def reached(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Return a condition: so many sweeps have ended."""

        async def condition() -> bool:
            return self.count >= count

        return condition


@pytest.fixture(autouse=True)
def no_stagger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_tasks, "START_INTERVAL", timedelta(0))


async def test_a_full_batch_is_followed_by_the_next_at_once() -> None:
    sweeps = Sweeps(3, 5, 2, 0)
    async with run_alongside(PeriodicTask("test", NEVER, sweeps, batch=3).run()):
        await eventually(sweeps.reached(3))
        for _ in range(10):
            await asyncio.sleep(0)
        assert sweeps.count == 3


async def test_wake_ends_the_wait_early() -> None:
    sweeps = Sweeps(None, None)
    task = PeriodicTask("test", NEVER, sweeps)
    async with run_alongside(task.run()):
        await eventually(sweeps.reached(1))
        task.wake()
        await eventually(sweeps.reached(2))


async def test_a_wake_during_a_sweep_is_not_lost() -> None:
    task: PeriodicTask
    woken = Sweeps(None, None)

    async def sweep() -> int | None:
        if woken.count == 0:
            task.wake("a payload")
        return await woken()

    task = PeriodicTask("test", NEVER, sweep)
    async with run_alongside(task.run()):
        await eventually(woken.reached(2))


async def test_an_error_stops_neither_the_task_nor_another() -> None:
    failing, other = Sweeps(RuntimeError("no"), 0), Sweeps(0, 0)
    period = 0.001
    tasks = [PeriodicTask("failing", period, failing), PeriodicTask("other", period, other)]
    async with run_alongside(*(task.run() for task in tasks)):
        await eventually(failing.reached(2))
        await eventually(other.reached(2))
