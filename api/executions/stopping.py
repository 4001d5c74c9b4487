"""Cancelling executions: the wish is written, then their workflows are told."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from api.gateway import Gateway
from api.http.calls import Call
from domain.errors import ExecutionTerminalError
from domain.states import ExecutionStatus
from persistence import audit
from persistence.cancellation import cancel_tree
from persistence.tables.executions import ExecutionRow


@dataclass(frozen=True, slots=True)
class Stopping:
    """An execution that is to stop, and all of its tree that were not asked before."""

    row: ExecutionRow
    asked: Sequence[ExecutionRow]


async def stop(
    session: AsyncSession, call: Call, row: ExecutionRow, reason: str | None
) -> Stopping:
    """Ask an execution and its subtasks to stop; `ring` after the commit.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    asked = await cancel_tree(session, row.id, reason)
    # Read after the tree is locked: an end that came first has won.
    await session.refresh(row)
    if row not in asked:
        require_active(row)
    if asked:
        after = {"reason": reason, "executions": len(asked)}
        entity, owner = ("execution", row.id), row.user_id
        action = "execution.cancel"
        await audit.record(session, call.actor, action, entity, after=after, owner_id=owner)
    return Stopping(row, asked)


def require_active(row: ExecutionRow) -> None:
    """Refuse what has ended.

    Raises:
        ExecutionTerminalError: it has.
    """
    if ExecutionStatus(row.status).is_terminal:
        raise ExecutionTerminalError(f"This execution is {row.status} already.")


async def ring(gateway: Gateway, stopping: Stopping) -> None:
    """Tell the workflows; what does not reach them the relay tells."""
    for told in stopping.asked:
        if not ExecutionStatus(told.status).is_terminal:
            await gateway.dispatcher.ring(told.workflow_id)
