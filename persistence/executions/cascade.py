"""What follows from the end of an execution: its subtasks are cancelled, its dependents fail.

An execution with a workflow is asked to stop, and its workflow ends it. An execution without a
workflow is ended here.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.signals import SignalKind
from domain.executions.states import TERMINAL, WORKER_BLOCKED, ExecutionStatus
from persistence.db import locks
from persistence.executions import lifecycle, prerequisites, queries
from persistence.executions.signals import FIRST_WAKE, append_signal
from persistence.tables.executions import ExecutionRow


async def cancel_tree(
    session: AsyncSession,
    root: UUID,
    reason: str | None,
    *,
    relay_after: timedelta = FIRST_WAKE,
) -> Sequence[ExecutionRow]:
    """Request cancellation of an execution and its subtasks, at all levels.

    Returns all for which it was not requested before. Those that are terminal have ended here; the
    caller wakes the workflows of the others, or the relay does so after `relay_after`. A subtask
    that is created meanwhile is found by another query.
    """
    changed: list[ExecutionRow] = []
    while rows := await _lock_tree(session, root):
        for row in rows:
            lifecycle.request_cancel(row, reason)
        await session.flush()
        without_workflow = [row for row in rows if _has_no_workflow(row)]
        for row in rows:
            if row not in without_workflow:
                await append_signal(session, row.id, SignalKind.CANCEL, relay_after=relay_after)
        await _end(session, without_workflow)
        changed += rows
    return changed


async def cancel_children(
    session: AsyncSession, condition: ColumnElement[bool], *, reason: str
) -> None:
    """Request cancellation of subtasks and of all below them; their parent is locked.

    The relay wakes their workflows.
    """
    children = await session.scalars(
        select(ExecutionRow.id).where(condition, ExecutionRow.status.not_in(TERMINAL))
    )
    for child in children.all():
        await cancel_tree(session, child, reason, relay_after=timedelta(0))


async def end_dependents(
    session: AsyncSession, ended: lifecycle.Ended, *, sessions: Collection[UUID]
) -> None:
    """Apply an end that was just written to the execution's subtasks and to what waits for it.

    `sessions` are the locked sessions.

    Raises:
        DependentsChangedError: another execution began to wait for this one; try again.
    """
    if ended.status is ExecutionStatus.COMPLETED:
        if ended.is_awaited:
            await prerequisites.release(session, ended.id, sessions)
        return
    is_child = ExecutionRow.parent_execution_id == ended.id
    await cancel_children(session, is_child, reason=f"the parent is {ended.status}")
    if ended.is_awaited:
        await prerequisites.fail(session, {ended.id: ended.status})


def _has_no_workflow(row: ExecutionRow) -> bool:
    """Whether the execution is blocked, or a subtask that its parent's workflow has yet to start.

    No workflow would end it. If it is started after all, its workflow finds that it has ended.
    """
    is_pending_subtask = row.status == ExecutionStatus.PENDING and row.is_started_by_parent
    # The workflow of an external subtask runs while the subtask is pending.
    is_new_subtask = is_pending_subtask and not row.run_epochs
    is_blocked = row.status == ExecutionStatus.BLOCKED and row.status_reason != WORKER_BLOCKED
    return is_blocked or is_new_subtask


async def _end(session: AsyncSession, rows: Sequence[ExecutionRow]) -> None:
    """End locked executions without a workflow, and fail what waits for them."""
    if not rows:
        return
    ids = [row.id for row in rows]
    ended = await lifecycle.end(session, dict.fromkeys(ids), ExecutionStatus.CANCELLED)
    await prerequisites.fail(session, {e.id: e.status for e in ended if e.is_awaited})
    await session.execute(
        select(ExecutionRow)
        .where(ExecutionRow.id.in_(ids))
        .execution_options(populate_existing=True)
    )


async def _lock_tree(session: AsyncSession, root: UUID) -> Sequence[ExecutionRow]:
    """The active executions of the tree whose cancellation was not requested, locked."""
    await locks.lock_for_cancel(session, root)
    rows = await session.scalars(
        select(ExecutionRow)
        .where(
            ExecutionRow.id.in_(queries.select_tree(root)),
            ExecutionRow.status.not_in(TERMINAL),
            ExecutionRow.cancel_requested_at.is_(None),
        )
        .order_by(ExecutionRow.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()
