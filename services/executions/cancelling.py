"""Cancels executions with their subtasks."""

from uuid import UUID

from domain.states import ExecutionStatus
from persistence.executions.cascade import cancel_tree
from persistence.tables.executions import ExecutionRow
from services.executions.access import own_execution, require_active
from services.executions.inputs import CancelBody
from services.unit_of_work import UnitOfWork


async def cancel(work: UnitOfWork, execution_id: UUID, body: CancelBody) -> ExecutionRow:
    """Request the cancellation of an execution and its subtasks; their workflows end them.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    row = await own_execution(work.session, work.caller, execution_id)
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
            work.wake_workflow(cancelled)
    return row
