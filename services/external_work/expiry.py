"""Leases that ran out: the work returns to the queue, or fails if it was lost too often."""

from uuid import UUID

from domain.errors import ErrorCode
from domain.executions.external_work import MOST_LOST_ATTEMPTS
from domain.executions.states import ExecutionStatus
from persistence.db import locks
from persistence.db.database import Database
from persistence.executions import cascade, leases, lifecycle, queries
from services.ports import WorkflowServer

BATCH = 100
"""Executions of one sweep (chosen: a few milliseconds)."""

LOST = (
    f"{MOST_LOST_ATTEMPTS} attempts of workers made no progress: their leases ran out, or they "
    "failed. Look at the workers, then retry the execution."
)


async def end_expired(database: Database, workflows: WorkflowServer) -> int:
    """End the leases that ran out; returns how many."""
    returned = await leases.return_expired(database.raw, limit=BATCH)
    lost = await leases.list_lost(database.raw, limit=BATCH)
    for execution_id in lost:
        await _fail(database, workflows, execution_id)
    return max(returned, len(lost))


async def _fail(database: Database, workflows: WorkflowServer, execution_id: UUID) -> None:
    """Fail an execution that was lost too often, unless its worker has reported meanwhile."""
    status = ExecutionStatus.FAILED
    async with database.transaction() as session:
        sessions = await locks.lock_for_end(session, execution_id, status)
        row = await queries.lock_existing(session, execution_id)
        if not await leases.is_lost(session, execution_id):
            return
        for ended in await lifecycle.end(
            session, {execution_id: LOST}, status, error_code=ErrorCode.WORKER_ERROR
        ):
            await cascade.end_dependents(session, ended, sessions=sessions)
    await workflows.wake(row.workflow_id)
