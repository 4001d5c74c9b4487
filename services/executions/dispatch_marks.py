"""Stores which starts and wake-ups Temporal has accepted, so that the relay does not repeat them.

A repeated one does no harm, and most executions have started or continued before they are marked,
so no request waits for this: one statement marks the starts of a second, another the wake-ups.
"""

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import structlog

from persistence.db.database import Database
from persistence.executions import signals

MARK_SECONDS = 1.0
"""Between two statements (chosen: half of `signals.FIRST_WAKE`, after which the relay starts)."""

log = structlog.get_logger(__name__)


class DispatchMarks:
    """The starts and wake-ups of one process that are to be marked."""

    def __init__(self, database: Database) -> None:
        """Marks nothing yet."""
        self._database = database
        self._starts: list[UUID] = []
        self._wakes: dict[UUID, float] = {}
        """When each one was sent, on the monotonic clock."""
        self._marking: asyncio.Task[None] | None = None

    def add_start(self, execution_id: UUID) -> None:
        """Mark the start of an execution as dispatched soon."""
        self._starts.append(execution_id)
        self._mark_soon()

    def add_wake(self, execution_id: UUID, *, sent_at: float) -> None:
        """Mark the signals of an execution as sent soon, except those that are newer.

        `sent_at` is a time of the monotonic clock, before Temporal was called.
        """
        self._wakes[execution_id] = sent_at
        self._mark_soon()

    def _mark_soon(self) -> None:
        if self._marking is None:
            self._marking = asyncio.create_task(self._mark())

    async def _mark(self) -> None:
        try:
            while self._starts or self._wakes:
                await asyncio.sleep(MARK_SECONDS)
                starts, self._starts = self._starts, []
                wakes, self._wakes = self._wakes, {}
                if starts:
                    await signals.mark_dispatched(self._database, starts)
                if wakes:
                    now = time.monotonic()
                    ages = {key: timedelta(seconds=now - sent) for key, sent in wakes.items()}
                    await signals.mark_woken(self._database, ages)
        except Exception as error:  # noqa: BLE001 - the edge: the relay repeats them
            log.info("dispatch.not_marked", error=type(error).__name__)
        finally:
            self._marking = None
