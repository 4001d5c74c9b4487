"""Executions that wait for others: blocked until all of those are completed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import exists, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode
from domain.events import Event
from domain.states import PREREQUISITES, ExecutionStatus
from persistence import audit, events, executions, sessions
from persistence.audit import Actor
from persistence.outbox import Said, say
from persistence.pages import Page, Window, newest
from persistence.starts import SESSION_BUSY
from persistence.tables.executions import ExecutionRow
from persistence.tables.prerequisites import PrerequisiteRow

ENGINE = Actor(None)


async def standing(
    session: AsyncSession, user_id: UUID, ids: Sequence[UUID]
) -> Mapping[UUID, ExecutionStatus]:
    """How those of these executions stand that are the user's.

    None of them ends before this transaction does, so whoever is to wait is written in time.
    """
    result = await session.execute(
        select(ExecutionRow.id, ExecutionRow.status)
        .where(ExecutionRow.id.in_(ids), ExecutionRow.user_id == user_id)
        .order_by(ExecutionRow.id)
        .with_for_update(read=True)
    )
    return {row.id: ExecutionStatus(row.status) for row in result}


async def require(session: AsyncSession, execution_id: UUID, ids: Sequence[UUID]) -> None:
    """Note what a new execution waits for, or has waited for."""
    if ids:
        values = [{"execution_id": execution_id, "prerequisite_id": other} for other in ids]
        await session.execute(insert(PrerequisiteRow), values)


async def page(session: AsyncSession, execution_id: UUID, window: Window) -> Page[ExecutionRow]:
    """What an execution waits for, or has waited for."""
    of_it = select(PrerequisiteRow.prerequisite_id).where(
        PrerequisiteRow.execution_id == execution_id
    )
    return await newest(
        session, ExecutionRow, ExecutionRow.id, [ExecutionRow.id.in_(of_it)], window
    )


async def settle(session: AsyncSession, ended: UUID, status: ExecutionStatus) -> None:
    """Start what waited for nothing else than an execution that is completed.

    What waited for one that came to another end fails with it, and what waits for that, and so on.
    """
    waiting = await _waiting(session, ended)
    if status is ExecutionStatus.COMPLETED:
        for row in waiting:
            if not await _is_waiting(session, row.id):
                await _release(session, row)
        return
    for row in waiting:
        await _fail(session, row, f"It waited for execution {ended}, which is {status}.")
        await settle(session, row.id, ExecutionStatus.FAILED)


async def _waiting(session: AsyncSession, ended: UUID) -> Sequence[ExecutionRow]:
    """Who waits for an execution, locked.

    Of two prerequisites that end at once, the later one sees here that the other has ended: a
    statement sees what was committed before it began, and it begins when the lock is had.
    """
    rows = await session.scalars(
        select(ExecutionRow)
        .join(PrerequisiteRow, PrerequisiteRow.execution_id == ExecutionRow.id)
        .where(
            PrerequisiteRow.prerequisite_id == ended,
            ExecutionRow.status == ExecutionStatus.BLOCKED,
            ExecutionRow.status_reason == PREREQUISITES,
        )
        .order_by(ExecutionRow.id)
        .with_for_update(of=ExecutionRow, key_share=True)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def _is_waiting(session: AsyncSession, execution_id: UUID) -> bool:
    found = await session.scalar(
        select(
            exists()
            .where(PrerequisiteRow.execution_id == execution_id)
            .where(ExecutionRow.id == PrerequisiteRow.prerequisite_id)
            .where(ExecutionRow.status != ExecutionStatus.COMPLETED)
        )
    )
    return bool(found)


async def _release(session: AsyncSession, row: ExecutionRow) -> None:
    """Let it start, or queue in its session; the relay starts it."""
    if row.session_id is not None and await _is_busy(session, row.session_id):
        row.status_reason = SESSION_BUSY
    else:
        row.status, row.status_reason = ExecutionStatus.PENDING, None
    data = {"status": row.status, "reason": row.status_reason}
    events.tell(session, row, Event("execution.status_changed", data))
    await session.flush()
    if row.status == ExecutionStatus.PENDING:
        await say(session, row.id, Said.START, relay_after=timedelta(0))
        await session.flush()


async def _is_busy(session: AsyncSession, session_id: UUID) -> bool:
    await sessions.lock(session, session_id)
    return await executions.is_session_busy(session, session_id)


async def _fail(session: AsyncSession, row: ExecutionRow, sentence: str) -> None:
    code = ErrorCode.PREREQUISITE_FAILED
    row.status, row.status_reason = ExecutionStatus.FAILED, None
    row.error_code, row.error_message = code, sentence
    row.completed_at, row.pause_requested_at = datetime.now(UTC), None
    data = {"cost_usd": 0, "error_code": code, "error_message": sentence}
    events.tell(session, row, Event("execution.failed", data))
    await audit.record(
        session,
        ENGINE,
        "execution.failed",
        ("execution", row.id),
        after={"status": row.status, "error_code": code},
        owner_id=row.user_id,
    )
    await session.flush()
