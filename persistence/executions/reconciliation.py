"""What upkeep compares with Temporal, and what it writes where the two differ."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode
from domain.states import ACTIVE, ExecutionStatus
from persistence.db import locks
from persistence.executions import fencing, lifecycle, unstarted
from persistence.executions.cascade import cancel_children
from persistence.tables.executions import ExecutionRow

SETTLING = timedelta(minutes=1)
"""Younger executions are still on their way to Temporal (design.md, section 4)."""


async def active_after(
    session: AsyncSession, last: UUID | None, *, limit: int
) -> Sequence[ExecutionRow]:
    """Executions that should have a workflow, by id, behind `last`."""
    query = select(ExecutionRow).where(
        ExecutionRow.status.in_([status.value for status in sorted(ACTIVE)]),
        ExecutionRow.created_at < datetime.now(UTC) - SETTLING,
    )
    if last is not None:
        query = query.where(ExecutionRow.id > last)
    return (await session.scalars(query.order_by(ExecutionRow.id).limit(limit))).all()


async def end_terminated(session: AsyncSession, execution_id: UUID, run_id: str) -> None:
    """Write `failed`, `terminated`, unless the execution has ended or moved on meanwhile."""
    await locks.for_end(session, execution_id, falls=True)
    row = await fencing.locked(session, execution_id)
    run = fencing.RunIdentity(
        workflow_id=row.workflow_id,
        run_id=run_id,
        segment=row.segment + 1,
        attempt=1,
        last_message_seq=0,
        is_reset=False,
    )
    await lifecycle.finish(
        session,
        execution_id,
        run,
        status=ExecutionStatus.FAILED,
        error_code=ErrorCode.TERMINATED,
    )


async def overdue(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Blocked executions whose deadline has passed, the longest overdue first."""
    found = await session.scalars(
        select(ExecutionRow.id)
        # As a literal, so that the planner sees that the partial index holds them.
        .where(ExecutionRow.status == literal_column("'blocked'"))
        .where(ExecutionRow.deadline_at <= func.now())
        .order_by(ExecutionRow.deadline_at)
        .limit(limit)
    )
    return found.all()


async def end_overdue(session: AsyncSession, execution_id: UUID) -> None:
    """Write `failed`, `deadline_passed`, unless it has ended or was let go meanwhile."""
    await locks.for_fall(session, execution_id)
    row = await fencing.locked(session, execution_id)
    if row.status != ExecutionStatus.BLOCKED:
        return
    await unstarted.end(session, row, failure=unstarted.OVERDUE, tell_parent=True)
    of_it = ExecutionRow.parent_execution_id == execution_id
    await cancel_children(session, of_it, reason="the parent is failed")
