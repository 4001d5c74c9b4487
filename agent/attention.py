"""What may reach a running loop from outside: a ring of the bell, and the worker shutting down."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

LOOK_AGAIN_SECONDS = 0.5
"""After a look that failed (chosen: a database that restarts is back in about a second)."""


class CutShortError(Exception):
    """The work in hand was cut: time is up, or somebody cancelled."""


class Attention:
    """One execution's ear while a worker moves it forward.

    `ring` and `drain` are called on the loop's own event loop.
    """

    def __init__(self) -> None:
        """Nobody has said anything yet."""
        self.draining = asyncio.Event()
        self.rang = False
        self._scope: asyncio.Timeout | None = None
        self._look: Callable[[], Awaitable[bool]] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._rings = 0

    def drain(self) -> None:
        """The worker shuts down: stop after the step in hand."""
        self.draining.set()

    def cut(self) -> None:
        """The worker's time to drain is over: cut the work in hand, so that it can be recorded."""
        self.draining.set()
        self._end_scope()

    def wake(self) -> None:
        """There is something unread. Work in hand goes on unless a look says it must stop."""
        self.rang = True
        self._rings += 1
        self._start_looking()

    def _start_looking(self) -> None:
        if self._look is not None and self._looking is None:
            self._looking = asyncio.ensure_future(self._check(self._look))

    async def _check(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Look until nothing has been said since the look began."""
        seen = None
        try:
            while seen != self._rings:
                ringing = self._rings
                try:
                    must_stop = await look()
                except Exception:  # noqa: BLE001 - the database was away: what was said still counts
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
                    continue
                seen = ringing
                if must_stop:
                    self._end_scope()
                    return
        finally:
            if self._looking is asyncio.current_task():
                self._looking = None

    def _end_scope(self) -> None:
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def attending(
        self, *, until: float | None, look: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Run the block until it ends, until the loop's time `until`, or until `look` says stop.

        `look` is awaited when the bell rings, and at once when it has rung and nobody has listened
        since. Raises `CutShortError` where the block was cut.
        """
        self._look = look
        try:
            async with asyncio.timeout_at(until) as self._scope:
                if self.rang:
                    self._start_looking()
                yield
        except TimeoutError:
            if self._scope is not None and self._scope.expired():
                raise CutShortError from None
            raise
        finally:
            self._look = self._scope = None
            if self._looking is not None:
                self._looking.cancel()
                self._looking = None
