"""Asking executions to stop. Their workflows end them; only what has no workflow ends here."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.events import Event
from domain.states import TERMINAL, ExecutionStatus
from persistence import audit, events, prerequisites
from persistence.audit import ENGINE
from persistence.outbox import FIRST_RING, Said, say
from persistence.tables.executions import ExecutionRow


async def cancel_tree(
    session: AsyncSession,
    root: UUID,
    reason: str | None,
    *,
    relay_after: timedelta = FIRST_RING,
) -> Sequence[ExecutionRow]:
    """Ask an execution and everything below it to stop; returns all that were not asked before.

    Those that are terminal then have ended here; the workflows of the others are to be rung, by the
    caller or, after `relay_after`, by the relay.
    Children are locked before their parents, the order in which a child that ends writes to its
    parent. A subtask that is born meanwhile is seen by the next look.
    """
    changed: list[ExecutionRow] = []
    while fresh := await _unasked(session, root):
        for row in fresh:
            row.cancel_requested_at = datetime.now(UTC)
            row.cancel_reason = reason
        await session.flush()
        for row in fresh:
            if _has_no_workflow(row):
                await _end(session, row, tell_parent=row.id == root)
            else:
                await say(session, row.id, Said.CANCEL, relay_after=relay_after)
        await session.flush()
        changed += fresh
    return changed


async def cancel_children(
    session: AsyncSession, of_whom: ColumnElement[bool], *, reason: str
) -> None:
    """Ask subtasks to stop, and all below them; their parent's row is locked. The relay rings."""
    children = await session.scalars(
        select(ExecutionRow.id).where(of_whom, ExecutionRow.status.not_in(TERMINAL))
    )
    for child in children.all():
        await cancel_tree(session, child, reason, relay_after=timedelta(0))


def _has_no_workflow(row: ExecutionRow) -> bool:
    """Blocked, or a subtask that its parent's workflow has yet to start.

    Nobody else starts it, and once started it finds itself ended.
    """
    is_unborn = row.status == ExecutionStatus.PENDING and row.parent_tool_call_id is not None
    return row.status == ExecutionStatus.BLOCKED or is_unborn


async def _unasked(session: AsyncSession, root: UUID) -> Sequence[ExecutionRow]:
    tree = select(ExecutionRow.id).where(ExecutionRow.id == root).cte("tree", recursive=True)
    tree = tree.union_all(
        select(ExecutionRow.id).join(tree, ExecutionRow.parent_execution_id == tree.c.id)
    )
    rows = await session.scalars(
        select(ExecutionRow)
        .where(
            ExecutionRow.id.in_(select(tree.c.id)),
            ExecutionRow.status.not_in(TERMINAL),
            ExecutionRow.cancel_requested_at.is_(None),
        )
        .order_by(ExecutionRow.id.desc())
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def _end(session: AsyncSession, row: ExecutionRow, *, tell_parent: bool) -> None:
    """End what has no workflow to do it; a parent that is not to stop itself waits for it."""
    row.status = ExecutionStatus.CANCELLED
    row.status_reason = row.pause_requested_at = None
    row.completed_at = datetime.now(UTC)
    await session.flush()
    await events.append(
        session, row.id, Event("execution.cancelled", {"reason": row.cancel_reason})
    )
    ended_as = {"status": row.status, "error_code": None}
    entity, owner = ("execution", row.id), row.user_id
    await audit.record(
        session, ENGINE, "execution.cancelled", entity, after=ended_as, owner_id=owner
    )
    if tell_parent and row.parent_execution_id is not None:
        ended = {"execution_id": str(row.id)}
        await say(session, row.parent_execution_id, Said.SUBTASK_FINISHED, ended)
    await prerequisites.settle(session, row.id, ExecutionStatus.CANCELLED)
    await session.refresh(row)
