"""Which schedule a task is to have, and whether Temporal has been told of it.

The task's change is committed with one more `revision` of its schedule; whoever tells Temporal
notes the revision that he told. So a change is never lost, whoever dies in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, and_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.schedules import DEFAULT_CATCHUP, OverlapPolicy, ScheduleServer, TaskSchedule
from persistence.db.database import Database
from persistence.db.paging import Page, Window, newest
from persistence.tables.schedules import ScheduleRow
from persistence.tables.tasks import TaskRow, TaskVersionRow

AT_ONCE = timedelta(seconds=3)
"""Whoever changes a task tells Temporal himself, in two seconds at most; upkeep comes later."""

TRIES = 3
"""... of telling the newest revision, while others change the task again and again (chosen)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A task's schedule: what it is to be (None: there is to be none), and what was told."""

    task_id: UUID
    wanted: TaskSchedule | None
    revision: int
    applied_revision: int

    @property
    def is_in_step(self) -> bool:
        """Whether Temporal was told of the newest revision."""
        return self.revision == self.applied_revision


def wanted_of(row: TaskRow, agent_id: str | None) -> TaskSchedule | None:
    """The schedule this task is to have; one that may not fire is paused, and keeps its counts."""
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
        # The gateway lets no other word in.
        overlap_policy=cast("OverlapPolicy", row.schedule_overlap_policy),
        catchup_window=DEFAULT_CATCHUP if catchup is None else timedelta(seconds=catchup),
        jitter=timedelta(seconds=row.schedule_jitter_seconds or 0),
    )


async def changed(
    session: AsyncSession, task_id: UUID, before: TaskSchedule | None, after: TaskSchedule | None
) -> None:
    """Note with a task's change that Temporal is to be told, if there is anything to tell."""
    if before == after:
        return
    one = insert(ScheduleRow).values(task_id=task_id, revision=1, applied_revision=0)
    again = {"revision": ScheduleRow.revision + 1, "changed_at": datetime.now(UTC)}
    await session.execute(one.on_conflict_do_update(index_elements=["task_id"], set_=again))


async def find(session: AsyncSession, task_id: UUID) -> Kept | None:
    """How the task's schedule stands; None where it never had one."""
    found = (await session.execute(_kept().where(ScheduleRow.task_id == task_id))).one_or_none()
    return None if found is None else _read(found)


async def unsynchronised(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Tasks whose change nobody has told Temporal in the time that it takes, oldest first."""
    rows = await session.scalars(
        select(ScheduleRow.task_id)
        .where(
            ScheduleRow.revision != ScheduleRow.applied_revision,
            ScheduleRow.changed_at < datetime.now(UTC) - AT_ONCE,
        )
        .order_by(ScheduleRow.changed_at)
        .limit(limit)
    )
    return rows.all()


async def page_after(session: AsyncSession, last: UUID | None, *, limit: int) -> Sequence[Kept]:
    """All that was ever kept, by task id, behind `last`."""
    query = _kept().order_by(ScheduleRow.task_id).limit(limit)
    if last is not None:
        query = query.where(ScheduleRow.task_id > last)
    return [_read(row) for row in await session.execute(query)]


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[TaskRow]:
    """The user's tasks that have a schedule."""
    mine = and_(TaskRow.user_id == user_id, TaskRow.is_scheduled, TaskRow.deleted_at.is_(None))
    return await newest(session, TaskRow, TaskRow.id, [mine], window)


async def mark_synchronised(session: AsyncSession, task_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the tasks whose schedule Temporal was told of."""
    rows = await session.scalars(
        select(ScheduleRow.task_id).where(
            ScheduleRow.task_id.in_(task_ids),
            ScheduleRow.revision == ScheduleRow.applied_revision,
        )
    )
    return set(rows)


async def synchronise(database: Database, server: ScheduleServer, task_id: UUID) -> bool:
    """Tell Temporal what the task says now; False where that did not succeed.

    A revision that came while an older one was told is told again, even if somebody else has told
    it already: the older one may have arrived last.
    """
    async with database.reading() as session:
        kept = await find(session, task_id)
    if kept is None or kept.is_in_step:
        return True
    for _ in range(TRIES):
        if not await _tell(server, kept):
            return False
        async with database.transaction() as session:
            if await _settle(session, kept):
                return True
            kept = await find(session, task_id) or kept
    return False


async def request_sync(database: Database, server: ScheduleServer, task_id: UUID) -> Kept | None:
    """Tell Temporal although it may have been told; what was told, or None: it is away.

    Somebody may have changed something there, and the next step needs it as the task says.
    """
    async with database.reading() as session:
        kept = await find(session, task_id) or Kept(task_id, None, 0, 0)
    return kept if await _tell(server, kept) else None


async def _tell(server: ScheduleServer, kept: Kept) -> bool:
    if kept.wanted is None:
        return await server.remove(kept.task_id)
    return await server.apply(kept.wanted)


async def _settle(session: AsyncSession, kept: Kept) -> bool:
    """Note what was told, unless it is no longer the newest."""
    settled = await session.scalar(
        update(ScheduleRow)
        .where(ScheduleRow.task_id == kept.task_id, ScheduleRow.revision == kept.revision)
        .values(applied_revision=kept.revision)
        .returning(ScheduleRow.task_id)
    )
    return settled is not None


def _kept() -> Select[Any]:
    newest = and_(TaskVersionRow.task_id == TaskRow.id, TaskVersionRow.version == TaskRow.version)
    return (
        select(ScheduleRow, TaskRow, TaskVersionRow.definition["agent_id"].as_string())
        .join(TaskRow, TaskRow.id == ScheduleRow.task_id)
        .join(TaskVersionRow, newest)
    )


def _read(found: Any) -> Kept:
    row, task, agent_id = found
    return Kept(row.task_id, wanted_of(task, agent_id), row.revision, row.applied_revision)
