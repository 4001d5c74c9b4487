"""Asking executions to stop. Their workflows end them; only what has no workflow ends here."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.events import Event
from domain.states import TERMINAL, ExecutionStatus
from persistence import events
from persistence.outbox import Said, say
from persistence.tables.executions import ExecutionRow


async def cancel_tree(
    session: AsyncSession, root: UUID, reason: str | None
) -> Sequence[ExecutionRow]:
    """Ask an execution and everything below it to stop; returns all that were not asked before.

    Those that are terminal then have ended here; the workflows of the others are to be rung.
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
            if row.status == ExecutionStatus.BLOCKED:
                await _end(session, row)
            else:
                await say(session, row.id, Said.CANCEL)
        await session.flush()
        changed += fresh
    return changed


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


async def _end(session: AsyncSession, row: ExecutionRow) -> None:
    """A blocked execution has no workflow that could end it."""
    row.status = ExecutionStatus.CANCELLED
    row.status_reason = None
    row.completed_at = datetime.now(UTC)
    await session.flush()
    await events.append(
        session, row.id, Event("execution.cancelled", {"reason": row.cancel_reason})
    )
    await session.refresh(row)
