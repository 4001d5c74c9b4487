"""Schedules in Temporal follow their tasks, whatever was not sent or was changed there."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.client import (
    ScheduleOverlapPolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from claude.scripted import ScriptedModelServer
from domain.ids import first_id_at, new_id
from domain.schedules.schedule import Backfill, TaskSchedule
from persistence.definitions import schedules
from runtime.schedule_specs import schedule_of
from runtime.schedules import Schedules
from services.scheduling import synchronisation
from services.scheduling.synchronisation import apply_schedule, synchronise
from tests.engine.driver import Engine
from tests.engine.running import make_place, open_driver
from tests.engine.scheduling import Scheduled
from tests.waiting import eventually

DONE = {"text": "done"}


@pytest.fixture
async def alone(
    database_url: str, temporal_address: str, scripted_model: ScriptedModelServer, tmp_path: Path
) -> AsyncIterator[Engine]:
    """The engine without a worker, which would repair what a test has just changed."""
    place = await make_place(database_url, temporal_address, tmp_path)
    async with open_driver(place, scripted_model) as engine:
        yield engine


async def reconcile(engine: Engine, server: Schedules | None = None) -> None:
    """Do what the background tasks of a worker do periodically."""
    server = server or Schedules(engine.client)
    await synchronisation.apply_pending(engine.database, server)
    await synchronisation.repair_differences(engine.database, server)


async def wait_until_repaired(scheduled: Scheduled) -> None:
    """Wait until the schedule in Temporal is the one of the task."""
    wanted = (await scheduled.find_stored()).wanted
    assert wanted is not None

    async def is_repaired() -> bool:
        await reconcile(scheduled.engine)
        state = await Schedules(scheduled.engine.client).state(wanted)
        return state is not None and state.is_as_wanted

    await eventually(is_repaired)


async def test_an_unsent_change_is_sent(engine: Engine) -> None:
    """The gateway died after its commit, or Temporal was unavailable."""
    scheduled = await Scheduled.make(engine, DONE, synchronise=False)
    assert await scheduled.describe() is None
    assert not (await scheduled.find_stored()).is_synchronised
    async with engine.database.transaction() as session:
        await session.execute(
            text("UPDATE schedules SET changed_at = now() - CAST(:ago AS interval)"),
            {"ago": timedelta(minutes=1)},
        )
    await wait_until_repaired(scheduled)
    assert (await scheduled.find_stored()).is_synchronised


class RefusesOne(Schedules):
    """Temporal, except that it does not accept one schedule."""

    def __init__(self, engine: Engine, refused: Scheduled) -> None:
        super().__init__(engine.client)
        self.refused = refused

    async def apply(self, wanted: TaskSchedule) -> bool:
        return wanted.task_id != self.refused.id and await super().apply(wanted)


async def test_a_schedule_that_cannot_be_sent_delays_no_other(alone: Engine) -> None:
    refused = await Scheduled.make(alone, DONE, synchronise=False)
    other = await Scheduled.make(alone, DONE, synchronise=False)
    async with alone.database.transaction() as session:
        await session.execute(
            text("UPDATE schedules SET changed_at = now() - CAST(:ago AS interval)"),
            {"ago": timedelta(minutes=1)},
        )
    await reconcile(alone, RefusesOne(alone, refused))
    assert (await other.find_stored()).is_synchronised
    assert not (await refused.find_stored()).is_synchronised


async def test_the_schedule_of_a_deleted_task_is_deleted(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    await scheduled.delete(synchronise=False)

    async def is_deleted() -> bool:
        await reconcile(engine)
        return await scheduled.describe() is None

    await eventually(is_deleted)


async def test_a_deleted_schedule_is_created_again(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    await scheduled.handle.delete()
    await wait_until_repaired(scheduled)


async def test_a_changed_schedule_is_changed_back(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)

    def change(given: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = given.description.schedule
        schedule.spec = ScheduleSpec(cron_expressions=["0 0 1 1 *"])
        return ScheduleUpdate(schedule)

    await scheduled.handle.update(change)
    await wait_until_repaired(scheduled)
    await scheduled.handle.pause(note="not today")
    await wait_until_repaired(scheduled)
    found = await scheduled.describe()
    assert found is not None
    assert not found.schedule.state.paused


async def test_a_change_that_no_list_shows_is_changed_back(alone: Engine) -> None:
    scheduled = await Scheduled.make(alone, DONE)

    def change(given: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = given.description.schedule
        schedule.policy.overlap = ScheduleOverlapPolicy.ALLOW_ALL
        return ScheduleUpdate(schedule)

    await scheduled.handle.update(change)
    server = Schedules(alone.client)
    wanted = (await scheduled.find_stored()).wanted
    assert wanted is not None

    async def found() -> bool:
        differences = await server.compare({wanted.task_id: wanted})
        return differences is not None and list(differences.differing) == [wanted.task_id]

    await eventually(found)
    await apply_schedule(alone.database, server, wanted.task_id)
    described = await scheduled.describe()
    assert described is not None
    assert described.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP


async def test_a_schedule_without_a_task_is_deleted(engine: Engine) -> None:
    """As after a restore of Postgres from yesterday's backup."""
    scheduled = await Scheduled.make(engine, DONE)
    wanted = (await scheduled.find_stored()).wanted
    assert wanted is not None
    unknown = new_id()
    handle = await engine.client.create_schedule(f"task-{unknown}", schedule_of(wanted))
    foreign = await engine.client.create_schedule("not-ours", schedule_of(wanted))

    async def is_deleted() -> bool:
        await reconcile(engine)
        listed = [entry.id async for entry in await engine.client.list_schedules()]
        return handle.id not in listed and foreign.id in listed

    await eventually(is_deleted)
    await foreign.delete()


async def test_a_correct_schedule_is_not_updated(alone: Engine) -> None:
    scheduled = await Scheduled.make(alone, DONE)
    await wait_until_repaired(scheduled)
    before = await scheduled.describe()
    wanted = (await scheduled.find_stored()).wanted
    assert wanted is not None

    async def as_wanted() -> bool:
        differences = await Schedules(alone.client).compare({wanted.task_id: wanted})
        return differences is not None and not differences.differing

    await eventually(as_wanted)
    await reconcile(alone)
    after = await scheduled.describe()
    assert before is not None
    assert after is not None
    assert after.info.last_updated_at == before.info.last_updated_at


class Slow(Schedules):
    """A server that is so slow that the task is changed in the meantime, once."""

    def __init__(self, scheduled: Scheduled) -> None:
        super().__init__(scheduled.engine.client)
        self._scheduled = scheduled
        self._is_first = True

    async def apply(self, wanted: TaskSchedule) -> bool:
        if self._is_first:
            self._is_first = False
            await self._scheduled.change(schedule_cron="0 0 1 1 *")
        return await super().apply(wanted)


async def test_of_two_concurrent_changes_the_last_one_wins(engine: Engine) -> None:
    """The first one reaches Temporal after the second and is then repeated."""
    scheduled = await Scheduled.make(engine, DONE, synchronise=False)
    assert await synchronise(engine.database, Slow(scheduled), scheduled.id)
    found = await scheduled.describe()
    assert found is not None
    assert found.schedule.spec.calendars[0].comment == "0 0 1 1 *"
    assert (await scheduled.find_stored()).is_synchronised


async def test_an_unsent_backfill_is_sent(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    before = datetime.now(UTC) - timedelta(minutes=1)
    span = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC))
    backfill = Backfill(first_id_at(before), scheduled.id, *span, "allow_all")
    async with engine.database.transaction() as session:
        await schedules.store_backfill(session, backfill)
    await reconcile(engine)
    assert (await (await scheduled.run()).wait_for_end()).status == "completed"
    async with engine.database.reading() as session:
        assert await schedules.list_unsent_backfills(session, limit=10) == []
