"""Upkeep: executions whose workflow is gone or was closed behind our back are mended.

So are those that never came to have one: blocked ones end when their deadline has passed.
"""

import asyncio
from typing import Protocol
from uuid import UUID

import structlog

from domain.dispatch import StartRequest, WorkflowState
from domain.states import ExecutionStatus
from persistence.db.database import Database
from persistence.executions import queries
from persistence.executions.creation import request_of
from persistence.tables.executions import ExecutionRow
from services.executions import finishing

PERIOD_SECONDS = 10.0
"""Between two looks (chosen: with `BATCH`, 600 open executions are compared every minute)."""

BATCH = 100
"""Executions of one look; each is one cheap question to Temporal, 1.3 ms (facts, A2)."""

log = structlog.get_logger(__name__)


class Temporal(Protocol):
    """What upkeep asks of Temporal (`runtime/dispatch.py`)."""

    async def state(self, workflow_id: str) -> WorkflowState | None:
        """How a workflow stands, or None when Temporal could not be asked."""
        ...

    async def start(self, request: StartRequest) -> bool:
        """Start an execution's workflow, once."""
        ...


class Reconciler:
    """One per worker process. It goes through all open executions, a batch at a time."""

    def __init__(self, database: Database, temporal: Temporal) -> None:
        """Begins with the oldest."""
        self._database = database
        self._temporal = temporal
        self._last: UUID | None = None

    async def run(self) -> None:
        """Look until cancelled. A Postgres or Temporal that is away is waited for."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the edge: nobody else mends what differs
                log.warning("upkeep.failed", error=type(error).__name__)
            await asyncio.sleep(PERIOD_SECONDS)

    async def look(self) -> None:
        """Compare one batch; after the last one comes the first again."""
        await self._end_overdue()
        async with self._database.reading() as session:
            rows = await queries.list_active(session, self._last, limit=BATCH)
        for row in rows:
            state = await self._temporal.state(row.workflow_id)
            if state is None:
                return
            await self._mend(row, state)
        self._last = rows[-1].id if len(rows) == BATCH else None

    async def _end_overdue(self) -> None:
        async with self._database.reading() as session:
            ids = await queries.list_overdue(session, limit=BATCH)
        for execution_id in ids:
            async with self._database.transaction() as session:
                await finishing.end_overdue(session, execution_id)

    async def _mend(self, row: ExecutionRow, state: WorkflowState) -> None:
        if state.is_open:
            return
        if state.run_id is not None:
            log.warning("upkeep.ends", execution_id=str(row.id))
            async with self._database.transaction() as session:
                await finishing.end_terminated(session, row.id, state.run_id)
        elif row.status != ExecutionStatus.PENDING or row.parent_tool_call_id is None:
            # A subtask that has not begun is its parent's to start.
            log.warning("upkeep.starts", execution_id=str(row.id))
            await self._temporal.start(request_of(row))
