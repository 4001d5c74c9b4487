"""Reads the state of the queue of external work: how much there is, how old it is, its order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.states import TERMINAL, ExecutionStatus
from persistence.db import sql
from persistence.executions import lifecycle
from persistence.tables.executions import CLAIMABLE, ExecutionRow, PrerequisiteRow


@dataclass(frozen=True, slots=True)
class WorkCount:
    """The external executions of a user with one agent (None: without one) and one status."""

    agent_id: str | None
    status: ExecutionStatus
    count: int
    average_priority: float
    deepest: int
    oldest_at: datetime
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class PendingWork:
    """The work of all users that waits for a worker, for one agent (None: without one)."""

    agent_id: str | None
    count: int
    oldest_at: datetime


_SQL = sql.load(
    "executions/queue_state.sql", claimable=CLAIMABLE, terminal=lifecycle.TERMINAL_STATUSES
)


async def count_work(session: AsyncSession, user_id: UUID) -> Sequence[WorkCount]:
    """The user's external executions by agent and status, without deleted ones."""
    row = ExecutionRow
    found = await session.execute(
        select(
            row.agent_id,
            row.status,
            func.count(),
            func.coalesce(func.avg(row.calculated_priority), 0),
            func.max(row.dependency_depth),
            func.min(row.created_at),
            func.max(row.created_at),
        )
        .where(row.user_id == user_id, row.executor == "external", row.archived_at.is_(None))
        .group_by(row.agent_id, row.status)
        .order_by(row.agent_id.nulls_first(), row.status)
    )
    return [WorkCount(one[0], ExecutionStatus(one[1]), *one[2:]) for one in found]


async def list_pending(session: AsyncSession) -> Sequence[PendingWork]:
    """The work of all users that waits for a worker, by agent."""
    return [PendingWork(*row) for row in await session.execute(_SQL["list_pending"])]


async def count_claimed(session: AsyncSession) -> int:
    """The work of all users that a worker has."""
    count: int = await session.scalar(_SQL["count_claimed"]) or 0
    return count


async def list_open(session: AsyncSession, user_id: UUID, *, limit: int) -> Sequence[ExecutionRow]:
    """The user's external executions that have not ended, the oldest first."""
    rows = await session.scalars(
        select(ExecutionRow)
        .where(
            ExecutionRow.user_id == user_id,
            ExecutionRow.status.in_([one for one in ExecutionStatus if one not in TERMINAL]),
            ExecutionRow.executor == "external",
            ExecutionRow.archived_at.is_(None),
        )
        .order_by(ExecutionRow.id)
        .limit(limit)
    )
    return rows.all()


async def find_all(
    session: AsyncSession, user_id: UUID, ids: Collection[UUID]
) -> Sequence[ExecutionRow]:
    """Those of these executions that are the user's, the oldest first."""
    query = select(ExecutionRow).where(ExecutionRow.id.in_(ids), ExecutionRow.user_id == user_id)
    return (await session.scalars(query.order_by(ExecutionRow.id))).all()


async def list_prerequisites(
    session: AsyncSession, ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[UUID]]:
    """For each of these executions, those of them that it waits for or has waited for."""
    row = PrerequisiteRow
    found = await session.execute(
        select(row.execution_id, row.prerequisite_id).where(
            row.execution_id.in_(ids), row.prerequisite_id.in_(ids)
        )
    )
    needed: dict[UUID, list[UUID]] = {one: [] for one in ids}
    for execution_id, prerequisite_id in found:
        needed[execution_id].append(prerequisite_id)
    return needed


async def list_prerequisites_of(session: AsyncSession, execution_id: UUID) -> Sequence[UUID]:
    """The executions that this one waits for or has waited for."""
    row = PrerequisiteRow
    query = select(row.prerequisite_id).where(row.execution_id == execution_id)
    return (await session.scalars(query.order_by(row.prerequisite_id))).all()


async def list_affected(session: AsyncSession, execution_id: UUID) -> Sequence[UUID]:
    """The unfinished executions that end with one that is cancelled: its parts, those that wait."""
    return (await session.scalars(_SQL["list_affected"], {"id": execution_id})).all()
