"""What interrupts a running loop from outside: unread signals, and the worker's shutdown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from domain.files import patience

T = TypeVar("T")

RECHECK_SECONDS = 0.5
"""Delay after a check that failed (chosen: a database that restarts is back in about a second)."""


async def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Await work that a cancellation must not interrupt; the cancellation follows it.

    Cancelled work does not wait any longer for a store of files that is unavailable. An error of
    cancelled work is discarded.
    """
    with patience.limit_waits() as patience_ended:
        running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        patience_ended.set()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # marks it as retrieved
        raise


class WorkInterruptedError(Exception):
    """The current work was interrupted: its time is up, or a person cancelled or interrupted it."""


class InterruptWatcher:
    """Receives interruptions for one execution while a worker runs its loop.

    Every method is called on the loop's own event loop.
    """

    def __init__(self) -> None:
        """Nothing is unread yet."""
        self.draining = asyncio.Event()
        self.has_unread = False
        self._scope: asyncio.Timeout | None = None
        self._must_stop: Callable[[], Awaitable[bool]] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._wakes = 0

    def drain(self) -> None:
        """Ask the loop to stop after its current step, because the worker shuts down."""
        self.draining.set()

    def interrupt(self) -> None:
        """Interrupt the current work so that it can be recorded: the drain time is over."""
        self.draining.set()
        self._end_scope()

    def wake(self) -> None:
        """Note that a signal is unread. The current work continues unless it must stop."""
        self.has_unread = True
        self._wakes += 1
        self._start_check()

    def _start_check(self) -> None:
        if self._must_stop is not None and self._checking is None:
            self._checking = asyncio.ensure_future(self._check(self._must_stop))

    async def _check(self, must_stop: Callable[[], Awaitable[bool]]) -> None:
        """Check until no signal has come since the last check began."""
        checked = None
        try:
            while checked != self._wakes:
                wakes = self._wakes
                try:
                    is_over = await must_stop()
                except Exception:  # noqa: BLE001 - the database was unavailable: check once more
                    await asyncio.sleep(RECHECK_SECONDS)
                    continue
                checked = wakes
                if is_over:
                    self._end_scope()
                    return
        finally:
            if self._checking is asyncio.current_task():
                self._checking = None

    def _end_scope(self) -> None:
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def interruptible(
        self, *, until: float | None, must_stop: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Run the block until it ends, until the event loop's time `until`, or until `must_stop`.

        `must_stop` is awaited after each `wake`, and at once when signals are unread already.

        Raises:
            WorkInterruptedError: the block was interrupted.
        """
        self._must_stop = must_stop
        try:
            async with asyncio.timeout_at(until) as self._scope:
                if self.has_unread:
                    self._start_check()
                yield
        except TimeoutError:
            if self._scope is not None and self._scope.expired():
                raise WorkInterruptedError from None
            raise
        finally:
            self._must_stop = self._scope = None
            if self._checking is not None:
                self._checking.cancel()
                self._checking = None
