"""Reads the state of the queue of external work: how much there is, how old it is, its order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.states import TERMINAL, ExecutionStatus
from persistence.db import sql
from persistence.db.paging import COUNTED
from persistence.executions import lifecycle
from persistence.tables.columns import read_as
from persistence.tables.executions import QUEUED, ExecutionRow, PrerequisiteRow


@dataclass(frozen=True, slots=True)
class WorkCount:
    """The external executions of a user with one agent (None: without one) and one status."""

    agent_id: str | None
    status: ExecutionStatus
    number: int
    average_priority: float
    deepest: int
    oldest_at: datetime
    is_capped: bool
    """Whether there are more."""


@dataclass(frozen=True, slots=True)
class PendingWork:
    """The work of all users that waits for a worker, for one agent (None: without one)."""

    agent_id: str | None
    number: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedFilter:
    """Work with one of these statuses and one of these ids, which ended before a time.

    No ids are no condition.
    """

    ids: Sequence[UUID]
    statuses: Sequence[ExecutionStatus]
    ended_before: datetime


MOST_COUNTED = COUNTED
"""Of a user, an agent and a status: the counts of lists end there, too."""

_AGENTS = f"""agents AS (
    SELECT user_id, (
        SELECT e.agent_id FROM executions e
        WHERE {QUEUED} AND e.user_id = users.user_id AND e.agent_id IS NOT NULL
        ORDER BY e.agent_id, e.status LIMIT 1
    ) AS agent_id FROM users WHERE user_id IS NOT NULL
    UNION ALL
    SELECT user_id, (
        SELECT e.agent_id FROM executions e
        WHERE {QUEUED} AND e.user_id = agents.user_id AND e.agent_id > agents.agent_id
        ORDER BY e.agent_id, e.status LIMIT 1
    ) FROM agents WHERE agents.agent_id IS NOT NULL
)"""  # noqa: S608 - our own condition
"""The agents of the work of `users`. The last one of each user is null: work that names none.

The order is that of the index of external work, so that no other one is read.
"""

_COUNTED = """LATERAL (
    SELECT count(*) AS number, coalesce(avg(calculated_priority), 0) AS average_priority,
        coalesce(max(dependency_depth), 0) AS deepest,
        uuid_extract_timestamp(CAST(min(CAST(id AS text)) AS uuid)) AS oldest_at
    FROM (
        (SELECT id, calculated_priority, dependency_depth FROM executions e
        WHERE $queued AND e.user_id = agents.user_id AND e.agent_id = agents.agent_id
            AND e.status BETWEEN statuses.status AND statuses.status
        ORDER BY e.agent_id, e.status, e.id LIMIT :most)
        UNION ALL
        (SELECT id, calculated_priority, dependency_depth FROM executions e
        WHERE $queued AND e.user_id = agents.user_id AND agents.agent_id IS NULL
            AND e.agent_id IS NULL AND e.status BETWEEN statuses.status AND statuses.status
        ORDER BY e.agent_id, e.status, e.id LIMIT :most)
    ) AS work
) AS found""".replace("$queued", QUEUED)
"""The branches are separate so that each uses the index. For an equal status, Postgres may read
another index in the order of the ids, and discard rows with another status."""

_SQL = sql.load(
    "executions/queue_state.sql",
    agents=_AGENTS,
    counted=_COUNTED,
    queued=QUEUED,
    terminal=lifecycle.TERMINAL_STATUSES,
)


async def count_work(session: AsyncSession, user_id: UUID) -> Sequence[WorkCount]:
    """The user's external executions by agent and status, without deleted ones.

    At most `MOST_COUNTED` of an agent and a status are counted, the oldest ones.
    """
    most = MOST_COUNTED + 1
    parameters = {"user_id": user_id, "statuses": list(ExecutionStatus), "most": most}
    return [
        read_as(
            WorkCount,
            row,
            status=ExecutionStatus(row.status),
            number=min(row.number, MOST_COUNTED),
            is_capped=row.number == most,
        )
        for row in await session.execute(_SQL["count_work"], parameters)
    ]


async def find_newest(session: AsyncSession, user_id: UUID) -> datetime | None:
    """When the newest external execution of the user was created."""
    found: datetime | None = await session.scalar(_SQL["find_newest"], {"user_id": user_id})
    return found


async def list_pending(session: AsyncSession) -> Sequence[PendingWork]:
    """The work of all users that waits for a worker, by agent.

    At most `MOST_COUNTED` of each user are counted, the oldest ones.
    """
    found = await session.execute(_SQL["list_pending"], {"most": MOST_COUNTED})
    return [PendingWork(*row) for row in found]


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
    session: AsyncSession, user_id: UUID, ids: Collection[UUID], *, lock: bool = False
) -> Sequence[ExecutionRow]:
    """Those of these executions that are the user's, the oldest first; locked in this order."""
    query = select(ExecutionRow).where(ExecutionRow.id.in_(ids), ExecutionRow.user_id == user_id)
    query = query.order_by(ExecutionRow.id)
    if lock:
        query = query.with_for_update(key_share=True)
    return (await session.scalars(query)).all()


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


async def list_finished(
    session: AsyncSession, user_id: UUID, finished: FinishedFilter, *, limit: int
) -> Sequence[ExecutionRow]:
    """The user's finished external work with its parts, the oldest first, at most `limit` trees.

    A tree is left out while a part of it, work that it is a part of, or work that waits for one of
    them has not ended. Unless it is named by its id, a part is not the top of a tree.
    """
    parameters = {
        "user_id": user_id,
        "ids": list(finished.ids),
        "statuses": list(finished.statuses),
        "ended_before": finished.ended_before,
        "limit": limit,
    }
    ids = await session.scalars(_SQL["list_finished"], parameters)
    return await find_all(session, user_id, ids.all())
