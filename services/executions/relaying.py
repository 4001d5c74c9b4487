"""Relay what a request stored and could not send: start workflows, wake workflows."""

import asyncio

import structlog

from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from persistence.db.database import Database
from persistence.executions import signals
from persistence.executions.creation import make_start_request
from persistence.tables.executions import ExecutionRow
from services.ports import WorkflowServer

BATCH = 100
"""Signals of one sweep, sent concurrently, so that one slow call delays no other (chosen)."""

log = structlog.get_logger(__name__)


async def relay_due(database: Database, workflows: WorkflowServer) -> int:
    """Start the executions and wake the workflows that are due. Return the number of signals.

    Signals of executions that have ended are consumed without effect, except that of the end of an
    external execution: its workflow consumes it.
    """
    if not await signals.is_any_due(database):
        return 0
    async with database.transaction() as session:
        due = await signals.take_due(session, limit=BATCH)
        ended = [
            signal.id for signal, row in due if _has_ended(row) and signal.kind != SignalKind.ENDED
        ]
        await signals.consume(session, ended)
    active = [(signal, row) for signal, row in due if not _has_ended(row)]
    to_start = [row for signal, row in active if signal.kind == SignalKind.START]
    was_started = await asyncio.gather(*(_start(workflows, row) for row in to_start))
    started = [row.id for row, was in zip(to_start, was_started, strict=True) if was]
    if started:
        await signals.mark_dispatched(database, started)
    # After the starts: a workflow that was just started may have further signals.
    to_wake = {row.workflow_id for signal, row in active if signal.kind != SignalKind.START}
    await asyncio.gather(*(workflows.wake(workflow_id) for workflow_id in to_wake))
    closing = [row for signal, row in due if signal.kind == SignalKind.ENDED]
    await asyncio.gather(*(_close(database, workflows, row) for row in closing))
    return len(due)


def _has_ended(row: ExecutionRow) -> bool:
    return ExecutionStatus(row.status).is_terminal


async def _close(database: Database, workflows: WorkflowServer, row: ExecutionRow) -> None:
    """Wake the workflow of an external execution that has ended, unless it has no open workflow."""
    if await workflows.wake(row.workflow_id) is not False:
        return
    state = await workflows.state(row.workflow_id)
    if state is not None and not state.is_open:
        async with database.transaction() as session:
            await signals.consume_end(session, row.id)


async def _start(workflows: WorkflowServer, row: ExecutionRow) -> bool:
    log.info("relay.start", execution_id=str(row.id))
    return await workflows.start(make_start_request(row))
