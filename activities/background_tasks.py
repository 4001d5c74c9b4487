"""Background tasks: periodic ones beside the task queues, and those of a running activity."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity

from contracts import policies

START_INTERVAL = timedelta(seconds=0.25)
"""Between the starts of two tasks. Tasks that query at the same time need a connection each, which
Postgres keeps at 4 MB; staggered, they share one or two (chosen: a query takes about 10 ms)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Calls `sweep` every `period_seconds` until it is cancelled.

    If `sweep` returns `batch` or more, there may be more to do, and the next call follows at once.
    A notification on the Postgres channel `wake_channel` ends the wait early.
    """

    name: str
    period_seconds: float
    sweep: Callable[[], Awaitable[int | None]]
    batch: int | None = None
    wake_channel: str | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, _payload: str = "") -> None:
        """End the current wait early. Accepts the payload of a Postgres notification."""
        self._woken.set()

    async def run(self) -> None:
        """Call `sweep` until cancelled. An error is logged and the next call follows as usual."""
        while True:
            self._woken.clear()
            count: int | None = None
            try:
                count = await self.sweep()
            except Exception as error:  # noqa: BLE001 - the edge: the task must run again
                log.warning("background_task.failed", task=self.name, error=type(error).__name__)
            if self.batch is None or (count or 0) < self.batch:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self.period_seconds)


@asynccontextmanager
async def run_alongside(*tasks: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines while the block runs, each started `START_INTERVAL` after the one before."""
    running = [
        asyncio.ensure_future(_run_after(index * START_INTERVAL, task))
        for index, task in enumerate(tasks)
    ]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def _run_after(delay: timedelta, task: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.sleep(delay.total_seconds())
    except asyncio.CancelledError:
        task.close()
        raise
    await task


@contextmanager
def run_in_background(task: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Run a coroutine while the block runs."""
    running = asyncio.ensure_future(task)
    try:
        yield
    finally:
        running.cancel()


def send_heartbeats(
    details: Callable[[], Mapping[str, object]] = dict,
) -> contextlib.AbstractContextManager[None]:
    """Send heartbeats of the current activity while the block runs, with these details."""

    async def send() -> None:
        while True:
            # Wait first: a heartbeat is a request, and a short activity needs none.
            await asyncio.sleep(policies.HEARTBEAT_EVERY.total_seconds())
            found = details()
            activity.heartbeat(*([found] if found else []))

    return run_in_background(send())
