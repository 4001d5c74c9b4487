"""The schedules of tasks, whether Temporal has them, and their backfills.

A change of a task is committed with a new `revision` of its schedule. The process that applies it
to Temporal stores the revision it has applied, so a change is not lost if a process crashes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import first_id_at
from domain.schedules.schedule import DEFAULT_CATCHUP, Backfill, TaskSchedule
from persistence.db.paging import Page, Window, newest
from persistence.tables.definitions import ScheduleBackfillRow, ScheduleRow, TaskRow, TaskVersionRow

FIRST_TRY = timedelta(seconds=3)
"""The request that changes a task applies the schedule itself within two seconds; after this time
the worker does."""


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A task's schedule (`wanted` is None if it is to have none), and which revision is applied."""

    task_id: UUID
    wanted: TaskSchedule | None
    revision: int
    applied_revision: int

    @property
    def is_synchronised(self) -> bool:
        """Whether the newest revision is applied to Temporal."""
        return self.revision == self.applied_revision


def schedule_of(row: TaskRow, agent_id: str | None) -> TaskSchedule | None:
    """The schedule this task is to have; a disabled one is paused and keeps its counts."""
    if not row.is_scheduled or row.deleted_at is not None or row.schedule_cron is None:
        return None
    catchup = row.schedule_catchup_window_seconds
    return TaskSchedule(
        user_id=row.user_id,
        task_id=row.id,
        title=row.name,
        trigger_type="scheduled",
        agent_id=agent_id,
        tags=tuple(row.tags),
        cron=row.schedule_cron,
        timezone=row.schedule_timezone,
        is_paused=not (row.schedule_enabled and row.is_active),
        overlap_policy=row.schedule_overlap_policy,
        catchup_window=DEFAULT_CATCHUP if catchup is None else timedelta(seconds=catchup),
        jitter=timedelta(seconds=row.schedule_jitter_seconds or 0),
    )


async def store_change(
    session: AsyncSession, task_id: UUID, before: TaskSchedule | None, after: TaskSchedule | None
) -> None:
    """Store with a task's change that its schedule in Temporal must change too, if it must."""
    if before == after:
        return
    first = insert(ScheduleRow).values(task_id=task_id, revision=1, applied_revision=0)
    next_one = {"revision": ScheduleRow.revision + 1, "changed_at": datetime.now(UTC)}
    await session.execute(first.on_conflict_do_update(index_elements=["task_id"], set_=next_one))


async def find(session: AsyncSession, task_id: UUID) -> StoredSchedule | None:
    """The task's schedule; None if it never had one."""
    query = _select_stored().where(ScheduleRow.task_id == task_id)
    found = (await session.execute(query)).one_or_none()
    return None if found is None else _read(found)


async def find_unsynchronised(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Tasks whose last change has not been applied in the usual time, oldest change first."""
    rows = await session.scalars(
        select(ScheduleRow.task_id)
        .where(
            ScheduleRow.revision != ScheduleRow.applied_revision,
            ScheduleRow.changed_at < datetime.now(UTC) - FIRST_TRY,
        )
        .order_by(ScheduleRow.changed_at)
        .limit(limit)
    )
    return rows.all()


async def list_after(
    session: AsyncSession, last: UUID | None, *, limit: int
) -> Sequence[StoredSchedule]:
    """All schedules that ever were, by task id, after `last`."""
    query = _select_stored().order_by(ScheduleRow.task_id).limit(limit)
    if last is not None:
        query = query.where(ScheduleRow.task_id > last)
    return [_read(row) for row in await session.execute(query)]


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[TaskRow]:
    """The user's tasks that have a schedule."""
    own = and_(TaskRow.user_id == user_id, TaskRow.is_scheduled, TaskRow.deleted_at.is_(None))
    return await newest(session, TaskRow, TaskRow.id, [own], window)


async def find_synchronised(session: AsyncSession, task_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the tasks whose schedule in Temporal has the newest revision."""
    rows = await session.scalars(
        select(ScheduleRow.task_id).where(
            ScheduleRow.task_id.in_(task_ids),
            ScheduleRow.revision == ScheduleRow.applied_revision,
        )
    )
    return set(rows)


async def find_changes(session: AsyncSession, task_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """When the schedules of these tasks were changed last: made, paused or resumed, for example."""
    rows = await session.execute(
        select(ScheduleRow.task_id, ScheduleRow.changed_at).where(ScheduleRow.task_id.in_(task_ids))
    )
    return {row.task_id: row.changed_at for row in rows}


async def mark_synchronised(session: AsyncSession, schedule: StoredSchedule) -> bool:
    """Store that this revision is applied; False if it is no longer the newest."""
    marked = await session.scalar(
        update(ScheduleRow)
        .where(ScheduleRow.task_id == schedule.task_id, ScheduleRow.revision == schedule.revision)
        .values(applied_revision=schedule.revision)
        .returning(ScheduleRow.task_id)
    )
    return marked is not None


async def store_backfill(session: AsyncSession, backfill: Backfill) -> None:
    """Store a backfill, to be sent after the commit."""
    session.add(ScheduleBackfillRow(**asdict(backfill)))
    await session.flush()


async def list_unsent_backfills(session: AsyncSession, *, limit: int) -> Sequence[Backfill]:
    """Backfills that have not been sent in the usual time, oldest first."""
    rows = await session.scalars(
        select(ScheduleBackfillRow)
        .where(
            ScheduleBackfillRow.sent_at.is_(None),
            ScheduleBackfillRow.id < first_id_at(datetime.now(UTC) - FIRST_TRY),
        )
        .order_by(ScheduleBackfillRow.id)
        .limit(limit)
    )
    return [
        Backfill(
            row.id,
            row.task_id,
            row.start_at,
            row.end_at,
            row.overlap_policy,
        )
        for row in rows
    ]


async def mark_backfill_sent(session: AsyncSession, backfill_id: UUID) -> None:
    """Store that Temporal has the backfill."""
    await session.execute(
        update(ScheduleBackfillRow)
        .where(ScheduleBackfillRow.id == backfill_id)
        .values(sent_at=datetime.now(UTC))
    )


def _select_stored() -> Select[Any]:
    newest = and_(TaskVersionRow.task_id == TaskRow.id, TaskVersionRow.version == TaskRow.version)
    return (
        select(ScheduleRow, TaskRow, TaskVersionRow.definition["agent_id"].as_string())
        .join(TaskRow, TaskRow.id == ScheduleRow.task_id)
        .join(TaskVersionRow, newest)
    )


def _read(found: Any) -> StoredSchedule:
    row, task, agent_id = found
    return StoredSchedule(
        row.task_id, schedule_of(task, agent_id), row.revision, row.applied_revision
    )
