"""Scheduled runs are recorded once, even if a worker dies or repeats one."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from composition import compose_services
from definitions.tasks import TaskDefinition
from domain.ids import new_id
from persistence.db.database import Database
from persistence.definitions import scheduled_runs, schedules, tasks
from persistence.definitions.scheduled_runs import Firing
from persistence.identity import users
from persistence.tables.definitions import ScheduleSkipRow, TaskRow
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import AuditRow
from runtime.outbound import Outbound
from runtime.schema_evaluation import IsolatedEvaluator
from runtime.settings import Settings
from runtime.temporal import connect
from services.caller import Caller
from services.scheduling.scheduled_runs import start_scheduled

DUE = datetime(2026, 11, 21, 9, tzinfo=UTC)


async def scheduled_task(database: Database, **columns: object) -> TaskRow:
    async with database.transaction() as session:
        user_id = (await users.find_or_create(session, "alice", "user")).id
        row = TaskRow(
            user_id=user_id,
            **{
                "name": f"nightly {new_id()}",
                "tags": ["x"],
                "is_public": False,
                "is_active": True,
                "is_scheduled": True,
                "schedule_cron": "0 9 * * *",
                "schedule_timezone": "UTC",
                "schedule_enabled": True,
                "schedule_overlap_policy": "skip",
                **columns,
            },
        )
        definition = TaskDefinition(prompt_template="Report.")
        await tasks.create(session, row, definition.model_dump(mode="json"))
    return row


def fire_of(task_id: UUID, run: str = "run-1") -> Firing:
    return Firing(task_id, f"scheduled-{task_id}-2026-11-21T09:00:00Z", run, DUE)


async def store(database: Database, fire: Firing) -> UUID | None:
    client = await connect(Settings(temporal_address="127.0.0.1:1"), lazy=True)
    schemas = IsolatedEvaluator(is_metered=False)
    services = compose_services(
        Settings(), database, client, Outbound(()), schemas, remembered_seconds=0
    )
    async with services.transaction(Caller.engine()) as work:
        return await start_scheduled(work, fire)


async def test_a_repeated_fire_finds_its_execution(database: Database) -> None:
    task = await scheduled_task(database)
    first = await store(database, fire_of(task.id))
    assert first is not None
    assert await store(database, fire_of(task.id)) == first
    assert await store(database, fire_of(task.id, "run-2")) not in (None, first)
    async with database.reading() as session:
        row = await session.get_one(ExecutionRow, first)
        assert (row.status, row.trigger_type, row.tags) == ("pending", "scheduled", ["x"])
        audited = (await session.scalars(select(AuditRow).where(AuditRow.entity_id == first))).one()
        assert (audited.action, audited.actor_id) == ("schedule.fire", None)
        assert audited.owner_id == task.user_id


async def test_concurrent_repeats_record_one_run(database: Database) -> None:
    task = await scheduled_task(database)
    fire = fire_of(task.id)
    found = await asyncio.gather(*(store(database, fire) for _ in range(4)), return_exceptions=True)
    made = {one for one in found if isinstance(one, UUID)}
    assert len(made) == 1
    assert all(isinstance(one, UUID | IntegrityError) for one in found)
    assert await store(database, fire) in made


async def test_a_skip_stays_a_skip_when_it_is_repeated(database: Database) -> None:
    task = await scheduled_task(database, is_active=False)
    assert await store(database, fire_of(task.id)) is None
    async with database.transaction() as session:
        row = await session.get_one(TaskRow, task.id)
        row.is_active = True
    assert await store(database, fire_of(task.id)) is None
    async with database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(ScheduleSkipRow)) == 1
        assert await scheduled_runs.count_skips(session, task.id) == 1


async def test_a_fire_of_a_task_that_never_was_is_skipped(database: Database) -> None:
    """Postgres was restored from before the task."""
    nobodys = new_id()
    assert await store(database, fire_of(nobodys)) is None
    async with database.reading() as session:
        (fired,) = await scheduled_runs.list_recent(session, nobodys, limit=10)
    assert (fired.reason, fired.scheduled_at) == ("task_deleted", DUE)


async def test_a_fire_pins_the_newest_version(database: Database) -> None:
    task = await scheduled_task(database)
    async with database.transaction() as session:
        stored = await tasks.find(session, task.id, lock=True)
        assert stored is not None
        newer = {**stored.definition, "prompt_template": "Report more."}
        await tasks.change(session, stored, {}, newer, by=task.user_id)
    execution_id = await store(database, fire_of(task.id))
    async with database.reading() as session:
        row = await session.get_one(ExecutionRow, execution_id)
        assert row.task_version == 2


@pytest.mark.parametrize(
    ("columns", "is_sent"),
    [
        ({"name": "another"}, True),
        ({"tags": ["y"]}, True),
        ({"schedule_cron": "0 8 * * *"}, True),
        ({"schedule_enabled": False}, True),
        ({"is_active": False}, True),
        ({"schedule_jitter_seconds": 5}, True),
        ({"description": "new"}, False),
        ({"schedule_enabled": True}, False),
    ],
)
async def test_only_what_temporal_knows_is_sent(
    database: Database,
    columns: dict[str, object],
    is_sent: bool,  # noqa: FBT001 - pytest calls it by name
) -> None:
    task = await scheduled_task(database)
    async with database.transaction() as session:
        stored = await tasks.find(session, task.id, lock=True)
        assert stored is not None
        await tasks.change(session, stored, columns, stored.definition, by=task.user_id)
    async with database.reading() as session:
        kept = await schedules.find(session, task.id)
    assert kept is not None
    assert kept.revision == (2 if is_sent else 1)


async def test_an_unscheduled_task_has_nothing_to_send(database: Database) -> None:
    task = await scheduled_task(database, is_scheduled=False)
    async with database.transaction() as session:
        assert await schedules.find(session, task.id) is None
        await tasks.delete(session, await session.get_one(TaskRow, task.id))
        assert await schedules.find(session, task.id) is None


async def test_a_scheduled_run_passes_the_checks_of_a_requested_start(database: Database) -> None:
    task = await scheduled_task(database)
    async with database.transaction() as session:
        stored = await tasks.find(session, task.id, lock=True)
        assert stored is not None
        changed = {**stored.definition, "variables_schema": {"required": ["city"]}}
        await tasks.change(session, stored, {}, changed, by=task.user_id)
    assert await store(database, fire_of(task.id)) is None
    async with database.reading() as session:
        [run] = await scheduled_runs.list_recent(session, task.id, limit=10)
    assert (run.status, run.reason) == ("skipped", "invalid_input")
