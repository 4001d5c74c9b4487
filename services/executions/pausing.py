"""Pauses and resumes executions."""

from uuid import UUID

from persistence.executions import lifecycle
from persistence.tables.executions import ExecutionRow
from services.executions.access import own_execution
from services.unit_of_work import UnitOfWork


async def pause(work: UnitOfWork, execution_id: UUID) -> ExecutionRow:
    """Request that an execution pauses after its current step. A repeat changes nothing.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    return await _request(work, execution_id, is_paused=True)


async def resume(work: UnitOfWork, execution_id: UUID) -> ExecutionRow:
    """Let a paused execution continue. A repeat changes nothing; raises like `pause`."""
    return await _request(work, execution_id, is_paused=False)


async def _request(work: UnitOfWork, execution_id: UUID, *, is_paused: bool) -> ExecutionRow:
    row = await own_execution(work.session, work.caller, execution_id, lock=True)
    before = {"status": row.status, "is_pause_requested": not is_paused}
    if not await lifecycle.request_pause(work.session, row, is_paused=is_paused):
        return row
    await work.record_audit(
        "execution.pause" if is_paused else "execution.resume",
        ("execution", execution_id),
        before=before,
        after={"status": row.status, "is_pause_requested": is_paused},
        owner_id=row.user_id,
    )
    work.wake_workflow(row)
    return row
