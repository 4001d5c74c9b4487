"""Keep the schedules in Temporal in step with the tasks in Postgres. The task always wins."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

import structlog

from domain.schedules import Backfill, TaskSchedule
from persistence.db.database import Database
from persistence.definitions import backfills, schedules
from services.ports import ScheduleServer

BATCH = 500
"""Rows read at a time (chosen)."""

FAILURE_LIMIT = 3
"""Consecutive failures after which Temporal is assumed to be unavailable (chosen)."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def apply_pending(database: Database, server: ScheduleServer) -> None:
    """Send Temporal the changes and backfills that were committed and not sent."""
    async with database.reading() as session:
        changed = await schedules.unsynchronised(session, limit=BATCH)

    async def synchronise(task_id: UUID) -> bool:
        log.info("schedules.synchronise", task_id=str(task_id))
        return await schedules.synchronise(database, server, task_id)

    if not await _apply_each(changed, synchronise):
        return
    async with database.reading() as session:
        unsent = await backfills.unsent(session, limit=BATCH)

    async def send(backfill: Backfill) -> bool:
        log.info("schedules.backfill", task_id=str(backfill.task_id))
        return await backfills.send(database, server, backfill)

    await _apply_each(unsent, send)


async def repair_differences(database: Database, server: ScheduleServer) -> None:
    """Change the schedules that differ from their tasks, and delete those without a task."""
    found = await server.compare(await _synchronised(database))
    if found is None:
        return
    for task_id in found.differing:
        log.warning("schedules.repair", task_id=str(task_id))
        await schedules.request_sync(database, server, task_id)
    for task_id in found.unknown:
        await _remove(database, server, task_id)


async def _apply_each(items: Iterable[T], apply: Callable[[T], Awaitable[bool]]) -> bool:
    """Apply each item. Return False after `FAILURE_LIMIT` consecutive failures."""
    failures = 0
    for item in items:
        failures = 0 if await apply(item) else failures + 1
        if failures == FAILURE_LIMIT:
            return False
    return True


async def _synchronised(database: Database) -> dict[UUID, TaskSchedule]:
    """Read the schedules whose newest revision was sent to Temporal."""
    wanted: dict[UUID, TaskSchedule] = {}
    last: UUID | None = None
    while True:
        async with database.reading() as session:
            batch = await schedules.page_after(session, last, limit=BATCH)
        for kept in batch:
            if kept.is_in_step and kept.wanted is not None:
                wanted[kept.task_id] = kept.wanted
        if len(batch) < BATCH:
            return wanted
        last = batch[-1].task_id


async def _remove(database: Database, server: ScheduleServer, task_id: UUID) -> None:
    """Delete a schedule, unless its task wants it again since the comparison."""
    async with database.reading() as session:
        kept = await schedules.find(session, task_id)
    if kept is None or (kept.is_in_step and kept.wanted is None):
        log.warning("schedules.remove", task_id=str(task_id))
        await server.remove(task_id)
