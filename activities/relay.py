"""The relay: starts and rings for whatever lies in the signals longer than it should."""

import asyncio
from typing import Protocol

import structlog

from domain.dispatch import StartRequest
from domain.states import ExecutionStatus
from persistence.db.database import Database
from persistence.executions import signals
from persistence.executions.creation import request_of
from persistence.tables.executions import ExecutionRow

PERIOD_SECONDS = 1.0
"""How often the relay looks: a look that finds nothing costs next to nothing (chosen)."""

BATCH = 100
"""Rows of one look, told side by side, so that one that Temporal is slow with holds up no other; a
full batch is followed by the next at once (chosen)."""

log = structlog.get_logger(__name__)


class Dispatcher(Protocol):
    """Talks to Temporal (`runtime/dispatch.py`); a failure is told by False and tried again."""

    async def start(self, request: StartRequest) -> bool:
        """Start an execution's workflow, once."""
        ...

    async def wake(self, workflow_id: str) -> bool:
        """Tell a workflow that there are unread rows for it."""
        ...


class Relay:
    """One per worker process; any number of them share the work."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        """Rings through `dispatcher`."""
        self._database = database
        self._dispatcher = dispatcher

    async def run(self) -> None:
        """Look until cancelled. A Postgres or Temporal that is away is waited for."""
        while True:
            count = 0
            try:
                count = await self.look()
            except Exception as error:  # noqa: BLE001 - the edge: nobody else starts what is due
                log.warning("relay.failed", error=type(error).__name__)
            if count < BATCH:
                await asyncio.sleep(PERIOD_SECONDS)

    async def look(self) -> int:
        """Start and ring once; returns how many rows were due."""
        async with self._database.transaction() as session:
            due = await signals.take_due(session, limit=BATCH)
            await signals.consume(
                session, [said.id for said, row in due if ExecutionStatus(row.status).is_terminal]
            )
        live = [(s, r) for s, r in due if not ExecutionStatus(r.status).is_terminal]
        starts = [self._start(r) for s, r in live if s.kind == signals.SignalKind.START]
        await asyncio.gather(*starts)
        # After the starts: what is to be heard may have been said to one of them.
        rung = {r.workflow_id for s, r in live if s.kind != signals.SignalKind.START}
        await asyncio.gather(*(self._dispatcher.wake(workflow_id) for workflow_id in rung))
        return len(due)

    async def _start(self, row: ExecutionRow) -> None:
        log.info("relay.starts", execution_id=str(row.id))
        await self._dispatcher.start(request_of(row))
