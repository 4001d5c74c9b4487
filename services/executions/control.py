"""Cancels, finishes, pauses and resumes executions."""

from uuid import UUID

from domain.errors import ConflictError
from domain.executions.finishing import FINISH_REQUEST
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from persistence.executions import leases, lifecycle, signals
from persistence.executions.cascade import cancel_children, cancel_tree
from persistence.executions.signals import append_signal
from persistence.tables.executions import ExecutionRow
from services.executions.access import get_own_execution, require_active
from services.executions.inputs import CancelBody, FinishBody
from services.unit_of_work import UnitOfWork


async def pause(work: UnitOfWork, execution_id: UUID) -> ExecutionRow:
    """Request that an execution pauses after its current step. A repeat changes nothing.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    return await _request(work, execution_id, is_paused=True)


async def resume(work: UnitOfWork, execution_id: UUID) -> ExecutionRow:
    """Let a paused execution continue, or one that its worker blocked; raises like `pause`.

    A repeat changes nothing.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    before = {"status": row.status, "status_reason": row.status_reason}
    if await leases.unblock(work.session, row):
        await work.record_audit(
            "execution.resume",
            ("execution", execution_id),
            before=before,
            after={"status": row.status},
            owner_id=row.user_id,
        )
    return await _request(work, execution_id, is_paused=False)


async def _request(work: UnitOfWork, execution_id: UUID, *, is_paused: bool) -> ExecutionRow:
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
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
    work.wake_workflow(row.id, row.workflow_id)
    return row


async def finish(work: UnitOfWork, execution_id: UUID, body: FinishBody) -> ExecutionRow:
    """Ask an execution to answer now with what it has; a repeat changes nothing.

    Calls that were still to run or to be decided do not run, its subtasks are cancelled, and the
    model answers without tools. A paused execution continues for this.

    Raises:
        ConflictError: it has ended or not started, or the loop does not run it.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    require_active(row)
    if row.executor != "claude" or row.cancel_requested_at is not None:
        raise ConflictError("Only an execution that Claude runs can be asked to finish.")
    if row.status in (ExecutionStatus.PENDING, ExecutionStatus.BLOCKED):
        raise ConflictError("This execution has not started, so it has no result; cancel it.")
    unread = await signals.list_unread(work.session, row.id)
    if any(signal.kind == SignalKind.FINISH for signal in unread):
        return row
    await lifecycle.request_pause(work.session, row, is_paused=False)
    is_child = ExecutionRow.parent_execution_id == row.id
    await cancel_children(work.session, is_child, reason="the parent was asked to finish")
    content = "\n\n".join(text for text in (FINISH_REQUEST, body.message) if text)
    await append_signal(work.session, row.id, SignalKind.MESSAGE, {"content": content})
    await append_signal(work.session, row.id, SignalKind.FINISH)
    await work.record_audit(
        "execution.finish",
        ("execution", row.id),
        before={"status": row.status},
        after={"characters": len(body.message or "")},
        owner_id=row.user_id,
    )
    work.wake_workflow(row.id, row.workflow_id)
    return row


async def cancel(work: UnitOfWork, execution_id: UUID, body: CancelBody) -> ExecutionRow:
    """Request the cancellation of an execution and its subtasks; their workflows end them.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    row = await get_own_execution(work.session, work.caller, execution_id)
    requested = await cancel_tree(work.session, row.id, body.reason)
    # Read after the tree is locked: an end that was committed first wins.
    await work.session.refresh(row)
    if row not in requested:
        require_active(row)
    if requested:
        await work.record_audit(
            "execution.cancel",
            ("execution", row.id),
            after={"reason": body.reason, "executions": len(requested)},
            owner_id=row.user_id,
        )
    for cancelled in requested:
        if not ExecutionStatus(cancelled.status).is_terminal:
            work.wake_workflow(cancelled.id, cancelled.workflow_id)
    return row
