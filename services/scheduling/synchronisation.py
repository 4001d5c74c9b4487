"""Keeps the schedules in Temporal as the tasks in Postgres define them. The task always wins."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

import structlog

from domain.schedules.schedule import Backfill, TaskSchedule
from persistence.db.database import Database
from persistence.definitions import schedules
from persistence.definitions.schedules import StoredSchedule
from services.ports import ScheduleServer

BATCH = 500
"""Rows read at a time (chosen)."""

FAILURE_LIMIT = 3
"""Consecutive failures after which Temporal is assumed to be unavailable (chosen)."""

TRIES = 3
"""Attempts to apply the newest revision while other requests keep changing the task (chosen)."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def synchronise(database: Database, server: ScheduleServer, task_id: UUID) -> bool:
    """Apply the task's schedule to Temporal if it has changed; False if that did not succeed.

    If a new revision was stored meanwhile, it is applied too, even if another process has applied
    it already: the older revision may have arrived last.
    """
    async with database.reading() as session:
        schedule = await schedules.find(session, task_id)
    if schedule is None or schedule.is_synchronised:
        return True
    for _ in range(TRIES):
        if not await _apply(server, schedule):
            return False
        async with database.transaction() as session:
            if await schedules.mark_synchronised(session, schedule):
                return True
            schedule = await schedules.find(session, task_id) or schedule
    return False


async def apply_schedule(
    database: Database, server: ScheduleServer, task_id: UUID
) -> StoredSchedule | None:
    """Apply the task's schedule to Temporal even if it is marked as synchronised.

    Someone may have changed it there. Returns what was applied, or None if Temporal is not
    available.
    """
    async with database.reading() as session:
        schedule = await schedules.find(session, task_id) or StoredSchedule(task_id, None, 0, 0)
    return schedule if await _apply(server, schedule) else None


async def send_backfill(database: Database, server: ScheduleServer, backfill: Backfill) -> bool:
    """Send a stored backfill after its schedule is applied; False if that did not succeed.

    A repeat has no further effect: Temporal knows a request by its id. A deleted schedule has
    nothing to backfill.
    """
    schedule = await apply_schedule(database, server, backfill.task_id)
    if schedule is None:
        return False
    if schedule.wanted is not None and not await server.backfill(backfill):
        return False
    async with database.transaction() as session:
        await schedules.mark_backfill_sent(session, backfill.id)
    return True


async def apply_pending(database: Database, server: ScheduleServer) -> None:
    """Send Temporal the changes and backfills that were committed and not sent."""
    async with database.reading() as session:
        changed = await schedules.find_unsynchronised(session, limit=BATCH)

    async def apply_change(task_id: UUID) -> bool:
        log.info("schedules.synchronise", task_id=str(task_id))
        return await synchronise(database, server, task_id)

    if not await _apply_each(changed, apply_change):
        return
    async with database.reading() as session:
        unsent = await schedules.list_unsent_backfills(session, limit=BATCH)

    async def send(backfill: Backfill) -> bool:
        log.info("schedules.backfill", task_id=str(backfill.task_id))
        return await send_backfill(database, server, backfill)

    await _apply_each(unsent, send)


async def repair_differences(database: Database, server: ScheduleServer) -> None:
    """Change the schedules that differ from their tasks, and delete those without a task."""
    found = await server.compare(await _read_synchronised(database))
    if found is None:
        return
    for task_id in found.differing:
        log.warning("schedules.repair", task_id=str(task_id))
        await apply_schedule(database, server, task_id)
    for task_id in found.unknown:
        await _remove(database, server, task_id)


async def _apply(server: ScheduleServer, schedule: StoredSchedule) -> bool:
    if schedule.wanted is None:
        return await server.remove(schedule.task_id)
    return await server.apply(schedule.wanted)


async def _apply_each(items: Iterable[T], apply: Callable[[T], Awaitable[bool]]) -> bool:
    """Apply each item. Return False after `FAILURE_LIMIT` consecutive failures."""
    failures = 0
    for item in items:
        failures = 0 if await apply(item) else failures + 1
        if failures == FAILURE_LIMIT:
            return False
    return True


async def _read_synchronised(database: Database) -> dict[UUID, TaskSchedule]:
    """Read the schedules whose newest revision was sent to Temporal."""
    wanted: dict[UUID, TaskSchedule] = {}
    last: UUID | None = None
    while True:
        async with database.reading() as session:
            batch = await schedules.list_after(session, last, limit=BATCH)
        for schedule in batch:
            if schedule.is_synchronised and schedule.wanted is not None:
                wanted[schedule.task_id] = schedule.wanted
        if len(batch) < BATCH:
            return wanted
        last = batch[-1].task_id


async def _remove(database: Database, server: ScheduleServer, task_id: UUID) -> None:
    """Delete a schedule, unless its task wants it again since the comparison."""
    async with database.reading() as session:
        schedule = await schedules.find(session, task_id)
    if schedule is None or (schedule.is_synchronised and schedule.wanted is None):
        log.warning("schedules.remove", task_id=str(task_id))
        await server.remove(task_id)
