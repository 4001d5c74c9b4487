"""Keeps the schedules in Temporal as the tasks define them."""

from uuid import UUID

from persistence.db.database import Database
from persistence.definitions import schedules
from persistence.definitions.schedules import StoredSchedule
from services.ports import ScheduleServer

TRIES = 3
"""Attempts to apply the newest revision while other requests keep changing the task (chosen)."""


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


async def _apply(server: ScheduleServer, schedule: StoredSchedule) -> bool:
    if schedule.wanted is None:
        return await server.remove(schedule.task_id)
    return await server.apply(schedule.wanted)
