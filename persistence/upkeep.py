"""What upkeep compares with Temporal, and what it writes where the two differ."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode
from domain.states import ACTIVE, ExecutionStatus
from persistence import endings, runs
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
    row = await runs.locked(session, execution_id)
    run = runs.RunIdentity(
        workflow_id=row.workflow_id,
        run_id=run_id,
        segment=row.segment + 1,
        attempt=1,
        last_step=0,
        is_reset=False,
    )
    await endings.finish(
        session,
        execution_id,
        run,
        status=ExecutionStatus.FAILED,
        error_code=ErrorCode.TERMINATED,
    )
