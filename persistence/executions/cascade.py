"""Asking executions to stop. Their workflows end them; only what has no workflow ends here."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.states import TERMINAL
from persistence.db import locks
from persistence.executions import unstarted
from persistence.executions.signals import FIRST_WAKE, SignalKind, append_signal
from persistence.tables.executions import ExecutionRow


async def cancel_tree(
    session: AsyncSession,
    root: UUID,
    reason: str | None,
    *,
    relay_after: timedelta = FIRST_WAKE,
) -> Sequence[ExecutionRow]:
    """Ask an execution and everything below it to stop; returns all that were not asked before.

    Those that are terminal then have ended here; the workflows of the others are to be rung, by the
    caller or, after `relay_after`, by the relay.
    A subtask that is born meanwhile is seen by the next look.
    """
    changed: list[ExecutionRow] = []
    while fresh := await _unasked(session, root):
        for row in fresh:
            row.cancel_requested_at = datetime.now(UTC)
            row.cancel_reason = reason
        await session.flush()
        for row in fresh:
            if unstarted.has_no_workflow(row):
                await unstarted.end(session, row, failure=None, tell_parent=row.id == root)
            else:
                await append_signal(session, row.id, SignalKind.CANCEL, relay_after=relay_after)
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


async def _unasked(session: AsyncSession, root: UUID) -> Sequence[ExecutionRow]:
    """Those of the tree that have not ended and were not asked, locked; children come first."""
    await locks.for_fall(session, root)
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
        .order_by(ExecutionRow.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()[::-1]
