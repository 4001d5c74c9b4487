"""Stores which starts Temporal has accepted, so that the relay does not repeat them.

A repeated start does no harm, and most executions have started before they are marked, so no
request waits for this: one statement marks the starts of a second.
"""

import asyncio
from uuid import UUID

import structlog

from persistence.db.database import Database
from persistence.executions import signals

MARK_SECONDS = 1.0
"""Between two statements (chosen: half of `signals.FIRST_WAKE`, after which the relay starts)."""

log = structlog.get_logger(__name__)


class DispatchMarks:
    """The starts of one process that are to be marked."""

    def __init__(self, database: Database) -> None:
        """Marks nothing yet."""
        self._database = database
        self._waiting: list[UUID] = []
        self._marking: asyncio.Task[None] | None = None

    def add(self, execution_id: UUID) -> None:
        """Mark the start of an execution as dispatched soon."""
        self._waiting.append(execution_id)
        if self._marking is None:
            self._marking = asyncio.create_task(self._mark())

    async def _mark(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(MARK_SECONDS)
                execution_ids, self._waiting = self._waiting, []
                await signals.mark_dispatched(self._database, execution_ids)
        except Exception as error:  # noqa: BLE001 - the edge: the relay repeats these starts
            log.info("dispatch.not_marked", error=type(error).__name__)
        finally:
            self._marking = None
