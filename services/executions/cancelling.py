"""Cancelling executions: the wish is written, then their workflows are told."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from api.gateway import Gateway
from api.http.request_context import Call
from domain.errors import ExecutionTerminalError
from domain.states import ExecutionStatus
from persistence.executions.cascade import cancel_tree
from persistence.ledger import audit
from persistence.tables.executions import ExecutionRow


@dataclass(frozen=True, slots=True)
class Cancelling:
    """An execution that is to stop, and all of its tree that were not asked before."""

    row: ExecutionRow
    asked: Sequence[ExecutionRow]


async def cancel(
    session: AsyncSession, call: Call, row: ExecutionRow, reason: str | None
) -> Cancelling:
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
    return Cancelling(row, asked)


def require_active(row: ExecutionRow) -> None:
    """Refuse what has ended.

    Raises:
        ExecutionTerminalError: it has.
    """
    if ExecutionStatus(row.status).is_terminal:
        raise ExecutionTerminalError(f"This execution is {row.status} already.")


async def wake(gateway: Gateway, stopping: Cancelling) -> None:
    """Tell the workflows; what does not reach them the relay tells."""
    for told in stopping.asked:
        if not ExecutionStatus(told.status).is_terminal:
            await gateway.dispatcher.wake(told.workflow_id)
