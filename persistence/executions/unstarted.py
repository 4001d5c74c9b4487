"""The end of what has no workflow that would write it: blocked executions, and unborn subtasks."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode
from domain.events import Event
from domain.states import ExecutionStatus
from domain.steps import Failure
from persistence.executions import events, prerequisites
from persistence.executions.signals import SignalKind, append_signal
from persistence.ledger import audit
from persistence.ledger.audit import ENGINE
from persistence.tables.executions import ExecutionRow

OVERDUE = Failure(ErrorCode.DEADLINE_PASSED, "The deadline passed before it could start.")


def has_no_workflow(row: ExecutionRow) -> bool:
    """Blocked, or a subtask that its parent's workflow has yet to start.

    Nobody else starts it, and once started it finds itself ended.
    """
    is_unborn = row.status == ExecutionStatus.PENDING and row.parent_tool_call_id is not None
    return row.status == ExecutionStatus.BLOCKED or is_unborn


async def end(
    session: AsyncSession, row: ExecutionRow, *, failure: Failure | None, tell_parent: bool
) -> None:
    """Write that it is cancelled, or that it failed, and fail what waits for it.

    It is locked with all that falls with it (`locks.for_fall`). A parent that is not to stop itself
    waits for it, and is told.
    """
    status = ExecutionStatus.CANCELLED if failure is None else ExecutionStatus.FAILED
    row.status, row.completed_at = status, datetime.now(UTC)
    row.status_reason = row.pause_requested_at = None
    told: dict[str, object] = {"reason": row.cancel_reason}
    if failure is not None:
        row.error_code, row.error_message = failure.code, failure.message
        told = {"cost_usd": 0, "error_code": failure.code, "error_message": failure.message}
    await session.flush()
    await events.append(session, row.id, Event(f"execution.{status}", told))
    ended_as = {"status": status, "error_code": row.error_code}
    entity, owner = ("execution", row.id), row.user_id
    action = f"execution.{status}"
    await audit.record(session, ENGINE, action, entity, after=ended_as, owner_id=owner)
    if tell_parent and row.parent_execution_id is not None:
        ended = {"execution_id": str(row.id)}
        await append_signal(session, row.parent_execution_id, SignalKind.SUBTASK_FINISHED, ended)
    await prerequisites.fail(session, row.id, status)
    await session.refresh(row)
