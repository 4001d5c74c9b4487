"""Upkeep of schedules: what nobody told Temporal, and what somebody changed there."""

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

from activities.schedules import ScheduleReconciler
from claude.scripted import ScriptedModelServer
from domain.ids import first_id_at, new_id
from domain.schedules import Backfill, TaskSchedule
from persistence.definitions import schedules
from runtime.schedule_specs import schedule_of
from runtime.schedules import Schedules
from services.scheduling.synchronisation import apply_schedule, synchronise
from tests.engine.driver import Engine
from tests.engine.running import driving, make_place
from tests.engine.scheduling import Scheduled
from tests.waiting import eventually

DONE = {"text": "done"}


@pytest.fixture
async def alone(
    database_url: str, temporal_address: str, scripted_model: ScriptedModelServer, tmp_path: Path
) -> AsyncIterator[Engine]:
    """As `engine`, without a worker: none mends what a test has just broken."""
    place = await make_place(database_url, temporal_address, tmp_path)
    async with driving(place, scripted_model) as engine:
        yield engine


def upkeep(engine: Engine) -> ScheduleReconciler:
    return ScheduleReconciler(engine.database, Schedules(engine.client))


async def mended(scheduled: Scheduled) -> None:
    """Wait until Temporal has the schedule as the task says, with upkeep's help."""
    wanted = (await scheduled.kept()).wanted
    assert wanted is not None

    async def is_mended() -> bool:
        await upkeep(scheduled.engine).look()
        state = await Schedules(scheduled.engine.client).state(wanted)
        return state is not None and state.is_as_wanted

    await eventually(is_mended)


async def test_what_was_not_told_is_told(engine: Engine) -> None:
    """The gateway died after its commit, or Temporal was away."""
    scheduled = await Scheduled.make(engine, DONE, tell=False)
    assert await scheduled.described() is None
    assert not (await scheduled.kept()).is_synchronised
    async with engine.database.transaction() as session:
        await session.execute(
            text("UPDATE schedules SET changed_at = now() - CAST(:ago AS interval)"),
            {"ago": timedelta(minutes=1)},
        )
    await mended(scheduled)
    assert (await scheduled.kept()).is_synchronised


class RefusesOne(Schedules):
    """Temporal, but for one schedule that it can't be told."""

    def __init__(self, engine: Engine, refused: Scheduled) -> None:
        super().__init__(engine.client)
        self.refused = refused

    async def apply(self, wanted: TaskSchedule) -> bool:
        return wanted.task_id != self.refused.id and await super().apply(wanted)


async def test_one_that_can_not_be_told_holds_up_no_other(alone: Engine) -> None:
    refused = await Scheduled.make(alone, DONE, tell=False)
    other = await Scheduled.make(alone, DONE, tell=False)
    async with alone.database.transaction() as session:
        await session.execute(
            text("UPDATE schedules SET changed_at = now() - CAST(:ago AS interval)"),
            {"ago": timedelta(minutes=1)},
        )
    await ScheduleReconciler(alone.database, RefusesOne(alone, refused)).look()
    assert (await other.kept()).is_synchronised
    assert not (await refused.kept()).is_synchronised


async def test_a_deleted_tasks_schedule_goes(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    await scheduled.delete(tell=False)

    async def gone() -> bool:
        await upkeep(engine).look()
        return await scheduled.described() is None

    await eventually(gone)


async def test_what_somebody_deleted_comes_back(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    await scheduled.handle.delete()
    await mended(scheduled)


async def test_what_somebody_changed_is_changed_back(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)

    def meddle(given: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = given.description.schedule
        schedule.spec = ScheduleSpec(cron_expressions=["0 0 1 1 *"])
        return ScheduleUpdate(schedule)

    await scheduled.handle.update(meddle)
    await mended(scheduled)
    await scheduled.handle.pause(note="not today")
    await mended(scheduled)
    found = await scheduled.described()
    assert found is not None
    assert not found.schedule.state.paused


async def test_what_no_list_shows_is_changed_back_too(alone: Engine) -> None:
    scheduled = await Scheduled.make(alone, DONE)

    def meddle(given: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = given.description.schedule
        schedule.policy.overlap = ScheduleOverlapPolicy.ALLOW_ALL
        return ScheduleUpdate(schedule)

    await scheduled.handle.update(meddle)
    server = Schedules(alone.client)
    wanted = (await scheduled.kept()).wanted
    assert wanted is not None

    async def found() -> bool:
        differences = await server.compare({wanted.task_id: wanted})
        return differences is not None and list(differences.differing) == [wanted.task_id]

    await eventually(found)
    await apply_schedule(alone.database, server, wanted.task_id)
    described = await scheduled.described()
    assert described is not None
    assert described.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP


async def test_a_schedule_without_a_task_goes(engine: Engine) -> None:
    """As after Postgres was restored from yesterday."""
    scheduled = await Scheduled.make(engine, DONE)
    wanted = (await scheduled.kept()).wanted
    assert wanted is not None
    nobodys = new_id()
    handle = await engine.client.create_schedule(f"task-{nobodys}", schedule_of(wanted))
    others = await engine.client.create_schedule("somebody-elses", schedule_of(wanted))

    async def gone() -> bool:
        await upkeep(engine).look()
        listed = [entry.id async for entry in await engine.client.list_schedules()]
        return handle.id not in listed and others.id in listed

    await eventually(gone)
    await others.delete()


async def test_what_stands_well_is_left_alone(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    await mended(scheduled)
    before = await scheduled.described()
    wanted = (await scheduled.kept()).wanted
    assert wanted is not None

    async def as_wanted() -> bool:
        differences = await Schedules(engine.client).compare({wanted.task_id: wanted})
        return differences is not None and not differences.differing

    await eventually(as_wanted)
    await upkeep(engine).look()
    after = await scheduled.described()
    assert before is not None
    assert after is not None
    assert after.info.last_updated_at == before.info.last_updated_at


class Slow(Schedules):
    """A server that is so slow that somebody changes the task meanwhile, once."""

    def __init__(self, scheduled: Scheduled) -> None:
        super().__init__(scheduled.engine.client)
        self._scheduled = scheduled
        self._is_first = True

    async def apply(self, wanted: TaskSchedule) -> bool:
        if self._is_first:
            self._is_first = False
            await self._scheduled.change(schedule_cron="0 0 1 1 *")
        return await super().apply(wanted)


async def test_of_two_changes_at_once_the_last_one_stands(engine: Engine) -> None:
    """The first one reaches Temporal after the second, and sees that it is old."""
    scheduled = await Scheduled.make(engine, DONE, tell=False)
    assert await synchronise(engine.database, Slow(scheduled), scheduled.id)
    found = await scheduled.described()
    assert found is not None
    assert found.schedule.spec.calendars[0].comment == "0 0 1 1 *"
    assert (await scheduled.kept()).is_synchronised


async def test_an_unsent_backfill_is_sent(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    before = datetime.now(UTC) - timedelta(minutes=1)
    span = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC))
    old = Backfill(first_id_at(before), scheduled.id, *span, "allow_all")
    async with engine.database.transaction() as session:
        await schedules.store_backfill(session, old)
    await upkeep(engine).look()
    assert (await (await scheduled.run()).ended()).status == "completed"
    async with engine.database.reading() as session:
        assert await schedules.list_unsent_backfills(session, limit=10) == []
