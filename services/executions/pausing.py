"""Pauses and resumes executions."""

from datetime import UTC, datetime
from uuid import UUID

from domain.states import ExecutionStatus
from persistence.executions.signals import SignalKind, append_signal
from persistence.tables.executions import ExecutionRow
from services.executions.access import own_execution, require_active
from services.unit_of_work import UnitOfWork

NOT_STARTED = (ExecutionStatus.PENDING, ExecutionStatus.BLOCKED)
"""An execution in one of these states needs no signal: its first attempt reads the request."""


async def pause(work: UnitOfWork, execution_id: UUID) -> ExecutionRow:
    """Request that an execution pauses after its current step. A repeat changes nothing.

    Raises:
        NotFoundError: there is no such execution.
        PermissionDeniedError: it belongs to another user.
        ExecutionTerminalError: it has ended.
    """
    return await _request(work, execution_id, is_paused=True)


async def resume(work: UnitOfWork, execution_id: UUID) -> ExecutionRow:
    """Let a paused execution continue. A repeat changes nothing; raises like `pause`."""
    return await _request(work, execution_id, is_paused=False)


async def _request(work: UnitOfWork, execution_id: UUID, *, is_paused: bool) -> ExecutionRow:
    row = await own_execution(work.session, work.caller, execution_id, lock=True)
    require_active(row)
    if (row.pause_requested_at is not None) == is_paused:
        return row
    before = {"status": row.status, "is_pause_requested": not is_paused}
    row.pause_requested_at = datetime.now(UTC) if is_paused else None
    if row.status not in NOT_STARTED:
        kind = SignalKind.PAUSE if is_paused else SignalKind.RESUME
        await append_signal(work.session, row.id, kind)
    await work.session.flush()
    await work.record_audit(
        "execution.pause" if is_paused else "execution.resume",
        ("execution", execution_id),
        before=before,
        after={"status": row.status, "is_pause_requested": is_paused},
        owner_id=row.user_id,
    )
    work.wake_workflow(row)
    return row
