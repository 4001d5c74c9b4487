"""The calculated priorities of external executions, and which of them must be computed again.

A priority depends on the execution, on the time that is left to its deadline, and on how many
executions wait for it. Who changes the last adds a row to `outdated_priorities`, which locks
nothing; `priority_changes_at` is the time at which the first changes. So no table is scanned.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.priority import (
    MOST_COUNTED,
    PriorityFacts,
    WorkSource,
    calculate_priority,
    seconds_to_change,
)
from persistence.db import sql
from persistence.db.database import Database
from persistence.executions.lifecycle import TERMINAL_STATUSES
from persistence.tables.executions import PRIORITY_CHANGES, ExecutionRow

_SQL = sql.load(
    "executions/priorities.sql",
    terminal=TERMINAL_STATUSES,
    is_due=f"{PRIORITY_CHANGES} AND priority_changes_at <= (SELECT clock_timestamp())",
    most_counted=str(MOST_COUNTED),
)


async def set_depths(session: AsyncSession, required: Mapping[UUID, Sequence[UUID]]) -> None:
    """Store the depths of new executions, each with those that it waits for.

    Where new ones wait for each other, a prerequisite comes before what waits for it.
    """
    depths = await _read_depths(session, {one for ids in required.values() for one in ids})
    for execution_id, ids in required.items():
        depths[execution_id] = max((depths[one] + 1 for one in ids), default=0)
    parameters = {"ids": list(required), "depths": [depths[one] for one in required]}
    await session.execute(_SQL["set_depths"], parameters)


async def _read_depths(session: AsyncSession, ids: set[UUID]) -> dict[UUID, int]:
    columns = select(ExecutionRow.id, ExecutionRow.dependency_depth)
    rows = await session.execute(columns.where(ExecutionRow.id.in_(ids)))
    return {row.id: row.dependency_depth for row in rows}


async def mark_outdated(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Have the priorities of these executions computed again, where they are external."""
    await session.execute(_SQL["mark_outdated"], {"ids": ids})


async def find_changes(database: Database) -> tuple[bool, bool]:
    """Whether priorities are marked as outdated, and whether the urgency of any has changed."""
    (found,) = await database.raw.rows(_SQL["find_changes"], {})
    return found.has_marks, found.has_due


async def take_outdated(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Remove at most `limit` marks, and lock their executions; returns one for each mark."""
    marked = (await session.scalars(_SQL["take_marks"], {"limit": limit})).all()
    if marked:
        await session.execute(_SQL["lock"], {"ids": list(marked)})
    return marked


async def lock_due(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Lock executions whose urgency has changed, at most `limit`; locked ones are left out."""
    return (await session.scalars(_SQL["lock_due"], {"limit": limit})).all()


async def recalculate(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Compute and store the priorities of these locked or new executions."""
    if not ids:
        return
    found = (await session.execute(_SQL["read_facts"], {"ids": list(ids)})).all()
    changes = [
        compute(
            PriorityFacts(
                base=row.priority,
                source=WorkSource(row.source),
                depth=row.dependency_depth,
                waiting=row.waiting,
                left_seconds=seconds_until(row.deadline_at, row.now),
                estimated_seconds=row.estimated_duration_seconds,
            ),
            row.now,
        )
        for row in found
    ]
    if changes:
        parameters = {
            "ids": [row.id for row in found],
            "priorities": [priority for priority, _ in changes],
            "changes_at": [changes_at for _, changes_at in changes],
        }
        await session.execute(_SQL["store"], parameters)


def compute(facts: PriorityFacts, now: datetime) -> tuple[float, datetime | None]:
    """The priority, and when it changes by itself."""
    seconds = seconds_to_change(facts.left_seconds, facts.estimated_seconds)
    changes_at = None if seconds is None else now + timedelta(seconds=seconds)
    return calculate_priority(facts), changes_at


def seconds_until(deadline_at: datetime | None, now: datetime) -> float | None:
    """The seconds that are left to a deadline, if there is one."""
    return None if deadline_at is None else (deadline_at - now).total_seconds()


async def change_terms(
    session: AsyncSession, execution_id: UUID, columns: Mapping[str, object]
) -> None:
    """Change the base priority, deadline or estimate of a locked execution."""
    changed = update(ExecutionRow).where(ExecutionRow.id == execution_id).values(**columns)
    await session.execute(changed)
    await recalculate(session, [execution_id])
