"""Upkeep of schedules: Temporal is told what nobody has told it, and compared with the tasks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

import structlog

from domain.schedules import Backfill, TaskSchedule
from persistence.db.database import Database
from persistence.definitions import schedules
from services.ports import ScheduleServer
from services.scheduling.backfills import send_backfill
from services.scheduling.synchronisation import apply_schedule, synchronise

PERIOD_SECONDS = 5.0
"""Between two looks for what was not told; one that finds nothing reads an empty index (chosen)."""

COMPARE_SECONDS = 30.0
"""Between two comparisons: what somebody changed in Temporal holds for less than a minute, and a
thousand schedules cost 0.2 s (chosen)."""

BATCH = 500
"""Rows read at a time (chosen)."""

PATIENCE = 3
"""Failures in a row after which Temporal is taken to be away (chosen)."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


class ScheduleReconciler:
    """One per worker process; several do the same work twice, which is harmless."""

    def __init__(self, database: Database, server: ScheduleServer) -> None:
        """Compares at its first look."""
        self._database = database
        self._server = server
        self._compared_at: float | None = None

    async def run(self) -> None:
        """Look until cancelled. A Postgres or Temporal that is away is waited for."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the edge: nobody else mends what differs
                log.warning("schedules.upkeep_failed", error=type(error).__name__)
            await asyncio.sleep(PERIOD_SECONDS)

    async def look(self) -> None:
        """Tell what was not told, and compare when it is time."""
        if not await self._tell():
            return
        now = time.monotonic()
        if self._compared_at is None or now - self._compared_at >= COMPARE_SECONDS:
            await self.compare()
            self._compared_at = now

    async def compare(self) -> None:
        """Mend what Temporal has otherwise than the tasks say; the task wins."""
        found = await self._server.compare(await self._wanted())
        if found is None:
            return
        for task_id in found.differing:
            log.warning("schedules.mends", task_id=str(task_id))
            await apply_schedule(self._database, self._server, task_id)
        for task_id in found.unknown:
            await self._remove(task_id)

    async def _tell(self) -> bool:
        """False when Temporal is away, so that the rest need not be tried."""
        async with self._database.reading() as session:
            waiting = await schedules.find_unsynchronised(session, limit=BATCH)
        if not await _each(waiting, self._bring_into_step):
            return False
        async with self._database.reading() as session:
            unsent = await schedules.list_unsent_backfills(session, limit=BATCH)
        return await _each(unsent, self._backfill)

    async def _bring_into_step(self, task_id: UUID) -> bool:
        log.info("schedules.tells", task_id=str(task_id))
        return await synchronise(self._database, self._server, task_id)

    async def _backfill(self, wanted: Backfill) -> bool:
        log.info("schedules.backfills", task_id=str(wanted.task_id))
        return await send_backfill(self._database, self._server, wanted)

    async def _wanted(self) -> dict[UUID, TaskSchedule]:
        """The schedules that Temporal was told of."""
        wanted: dict[UUID, TaskSchedule] = {}
        last: UUID | None = None
        while True:
            async with self._database.reading() as session:
                batch = await schedules.list_after(session, last, limit=BATCH)
            for kept in batch:
                if kept.is_synchronised and kept.wanted is not None:
                    wanted[kept.task_id] = kept.wanted
            if len(batch) < BATCH:
                return wanted
            last = batch[-1].task_id

    async def _remove(self, task_id: UUID) -> None:
        """Delete a schedule that no task wants, unless one wants it since we have looked."""
        async with self._database.reading() as session:
            kept = await schedules.find(session, task_id)
        if kept is None or (kept.is_synchronised and kept.wanted is None):
            log.warning("schedules.removes", task_id=str(task_id))
            await self._server.remove(task_id)


async def _each(things: Iterable[T], tell: Callable[[T], Awaitable[bool]]) -> bool:
    """Tell of each. One that can't be told holds up no other; some in a row end it: False."""
    failures = 0
    for thing in things:
        failures = 0 if await tell(thing) else failures + 1
        if failures == PATIENCE:
            return False
    return True
