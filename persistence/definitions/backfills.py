"""Backfills of schedules: a row first, then Temporal is told, by whoever comes to it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import first_id_at
from domain.schedules import Backfill, OverlapPolicy, ScheduleServer
from persistence.db.database import Database
from persistence.definitions import schedules
from persistence.definitions.schedules import AT_ONCE
from persistence.tables.schedules import ScheduleBackfillRow


async def store(session: AsyncSession, wanted: Backfill) -> None:
    """Keep what is wanted, to be sent after the commit."""
    session.add(
        ScheduleBackfillRow(
            id=wanted.id,
            task_id=wanted.task_id,
            start_at=wanted.start_at,
            end_at=wanted.end_at,
            overlap_policy=wanted.overlap_policy,
        )
    )
    await session.flush()


async def unsent(session: AsyncSession, *, limit: int) -> Sequence[Backfill]:
    """What nobody has sent in the time that it takes, oldest first."""
    rows = await session.scalars(
        select(ScheduleBackfillRow)
        .where(
            ScheduleBackfillRow.sent_at.is_(None),
            ScheduleBackfillRow.id < first_id_at(datetime.now(UTC) - AT_ONCE),
        )
        .order_by(ScheduleBackfillRow.id)
        .limit(limit)
    )
    return [_read(row) for row in rows]


async def send(database: Database, server: ScheduleServer, wanted: Backfill) -> bool:
    """Tell Temporal, once its schedule is as the task says; False where that did not succeed.

    Twice is once: Temporal knows a request by its id. A schedule that is gone has nothing to fill.
    """
    kept = await schedules.request_sync(database, server, wanted.task_id)
    if kept is None:
        return False
    if kept.wanted is not None and not await server.backfill(wanted):
        return False
    async with database.transaction() as session:
        await session.execute(
            update(ScheduleBackfillRow)
            .where(ScheduleBackfillRow.id == wanted.id)
            .values(sent_at=datetime.now(UTC))
        )
    return True


def _read(row: ScheduleBackfillRow) -> Backfill:
    # The gateway lets no other word in.
    policy = cast("OverlapPolicy", row.overlap_policy)
    return Backfill(row.id, row.task_id, row.start_at, row.end_at, policy)
