"""Sends stored backfills to Temporal."""

from domain.schedules import Backfill
from persistence.db.database import Database
from persistence.definitions import schedules
from services.ports import ScheduleServer
from services.scheduling.synchronisation import apply_schedule


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
