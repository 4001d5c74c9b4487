"""Executions that wait for others: they are blocked until all of those are completed."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import DependentsChangedError, ErrorCode
from domain.executions.states import PREREQUISITES, ExecutionStatus
from persistence.db import sql
from persistence.db.paging import Page, Window, newest
from persistence.executions import lifecycle, priorities
from persistence.tables.executions import ExecutionRow, PrerequisiteRow

_SQL = sql.load("executions/prerequisites.sql")


async def lock_statuses(
    session: AsyncSession, user_id: UUID, ids: Sequence[UUID]
) -> Mapping[UUID, ExecutionStatus]:
    """The statuses of those of these executions that are the user's.

    They are locked, so an execution can't end before one that waits for it is stored.
    """
    result = await session.execute(
        select(ExecutionRow.id, ExecutionRow.status)
        .where(ExecutionRow.id.in_(ids), ExecutionRow.user_id == user_id)
        .order_by(ExecutionRow.id)
        .with_for_update(read=True)
    )
    return {row.id: ExecutionStatus(row.status) for row in result}


async def store(session: AsyncSession, execution_id: UUID, ids: Sequence[UUID]) -> None:
    """Store what a new execution waits for."""
    await store_all(session, {execution_id: ids})


async def store_all(session: AsyncSession, ids: Mapping[UUID, Sequence[UUID]]) -> None:
    """As `store`, for several new executions; those that others wait for come first."""
    values = [
        {"execution_id": execution_id, "prerequisite_id": other}
        for execution_id, others in ids.items()
        for other in others
    ]
    if not values:
        return
    await session.execute(insert(PrerequisiteRow), values)
    await priorities.set_depths(session, ids)
    await priorities.recalculate(session, list(ids))
    await priorities.mark_outdated(
        session, list({other for others in ids.values() for other in others})
    )


async def page(session: AsyncSession, execution_id: UUID, window: Window) -> Page[ExecutionRow]:
    """The executions that this one waits for or has waited for."""
    ids = select(PrerequisiteRow.prerequisite_id).where(
        PrerequisiteRow.execution_id == execution_id
    )
    return await newest(session, ExecutionRow, ExecutionRow.id, [ExecutionRow.id.in_(ids)], window)


async def release(session: AsyncSession, completed: UUID, sessions: Collection[UUID]) -> None:
    """Release the executions that waited only for one that is completed; thousands may wait.

    `sessions` are locked.

    Raises:
        DependentsChangedError: another execution began to wait whose session is not among
            them; try again.
    """
    waiting = await _lock_waiting(session, completed)
    if any(row.session_id not in (None, *sessions) for row in waiting):
        raise DependentsChangedError(
            "An execution began to wait for this one while its end was written; try again."
        )
    if waiting:
        await lifecycle.release(session, [row.id for row in waiting])


async def fail(session: AsyncSession, ended: Mapping[UUID, ExecutionStatus]) -> None:
    """Fail the executions that waited for those that failed or were cancelled, at all levels.

    Thousands may wait in a line; an end has only some seconds, so each level is not a statement.
    """
    while ended:
        # An execution that began to wait while a lock was waited for is found by the next query.
        found = await session.execute(_SQL["lock_dependents"], {"ended": list(ended)})
        messages = {
            row.id: f"It waited for execution {row.prerequisite_id}, which is "
            f"{ended.get(row.prerequisite_id, ExecutionStatus.FAILED)}."
            for row in found
        }
        if not messages:
            return
        failed = await lifecycle.end(
            session, messages, ExecutionStatus.FAILED, error_code=ErrorCode.PREREQUISITE_FAILED
        )
        ended = {row.id: row.status for row in failed}


async def _lock_waiting(session: AsyncSession, ended: UUID) -> Sequence[Row[UUID, UUID | None]]:
    """The executions that wait for this one, locked, with their sessions.

    If two prerequisites end at the same time, the later one sees that the other has ended: a
    statement sees what was committed before it began, and the next statement begins under the lock.
    """
    rows = await session.execute(
        select(ExecutionRow.id, ExecutionRow.session_id)
        .join(PrerequisiteRow, PrerequisiteRow.execution_id == ExecutionRow.id)
        .where(
            PrerequisiteRow.prerequisite_id == ended,
            ExecutionRow.status == ExecutionStatus.BLOCKED,
            ExecutionRow.status_reason == PREREQUISITES,
        )
        .order_by(ExecutionRow.id)
        .with_for_update(of=ExecutionRow, key_share=True)
    )
    return rows.all()
