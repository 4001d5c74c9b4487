"""Scheduled runs, from the real server to the record."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import (
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
)

from claude.scripted import ScriptedModelServer
from contracts import policies
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from domain.schedules.schedule import Backfill
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from runtime.schedules import Schedules
from services.scheduling.variables import format_time
from tests.engine.driver import Engine, script, use
from tests.engine.running import make_place, open_driver, run_worker
from tests.engine.scheduling import Scheduled
from tests.waiting import eventually

ASK = {"tool_use": use("ask_user", question="?")}
DONE = {"text": "done"}
LEAP_DAYS = (datetime(2016, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC))
"""There are three scheduled times of `RARELY` between them."""


async def test_a_fire_is_an_execution(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)

    await scheduled.handle.trigger()

    run = await scheduled.run()
    row = await run.wait_for_end()
    assert (row.status, row.trigger_type, row.task_version) == ("completed", "scheduled", 1)
    assert row.workflow_id.startswith(f"scheduled-{scheduled.id}-")
    description = await run.handle.describe()
    assert row.first_run_id == description.run_id
    found = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert found["PerdureTaskId"] == str(scheduled.id)
    assert found["PerdureUserId"] == str(engine.user_id)
    assert found["PerdureTrigger"] == "scheduled"
    assert found["PerdureTags"] == ["tests"]
    assert found["PerdureStatus"] == "completed"
    due = found["TemporalScheduledStartTime"]
    assert isinstance(due, datetime)
    assert row.trigger_metadata == {"scheduled_at": format_time(due)}
    assert "scheduled" in (await description.static_summary() or "")
    action = (await scheduled.handle.describe()).schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert action.task_timeout == policies.WORKFLOW_TASK
    assert (await run.event_types())[0] == "execution.created"


async def test_the_variables_of_a_scheduled_run(engine: Engine) -> None:
    secret = f"the answer {new_id()}"
    scheduled = await Scheduled.make(
        engine,
        prompt_template=f"{new_id()} due {{{{scheduled_at}}}}, last {{{{last_success_at}}}}: "
        f"<{{{{ last_report }}}}>\n\n{script({'text': secret})}",
    )
    await scheduled.handle.trigger(overlap=ScheduleOverlapPolicy.ALLOW_ALL)
    first = await (await scheduled.run()).wait_for_end()
    assert first.rendered_prompt is not None
    assert f"due {first.trigger_metadata['scheduled_at']}, last : <>" in first.rendered_prompt
    assert first.missing_variables == []
    assert first.completed_at is not None

    await scheduled.backfill(LEAP_DAYS[0], LEAP_DAYS[0] + timedelta(days=365))
    run = await scheduled.run(1)
    row = await run.wait_for_end()
    assert row.rendered_prompt is not None
    assert f"last {format_time(first.completed_at)}: <{secret}>" in row.rendered_prompt
    assert row.prompt_variables["scheduled_at"] == "2016-02-29T00:00:00Z"
    assert secret not in await run.history()


async def all_ended(scheduled: Scheduled, count: int) -> list[ExecutionRow]:
    """Wait for the end of so many scheduled runs and return their rows."""
    await scheduled.run(count - 1)  # rows are not stored in the order of their ids
    return [await run.wait_for_end() for run in await scheduled.runs()]


async def test_a_backfill_over_finished_runs_repeats_them(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    await scheduled.backfill(*LEAP_DAYS)
    first = await all_ended(scheduled, 3)
    await scheduled.backfill(*LEAP_DAYS)
    again = (await all_ended(scheduled, 6))[3:]
    assert {row.workflow_id for row in first} == {row.workflow_id for row in again}
    assert len({row.first_run_id for row in [*first, *again]}) == 6
    dues = [run.scheduled_at for run in await scheduled.find_scheduled_runs()]
    assert {due.year for due in dues} == {2016, 2020, 2024}


async def test_a_repeated_backfill_runs_once(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    server = Schedules(engine.client)
    wanted = Backfill(new_id(), scheduled.id, *LEAP_DAYS, "allow_all")
    assert await server.backfill(wanted)
    assert await server.backfill(wanted)
    await all_ended(scheduled, 3)

    async def all_counted() -> bool:
        found = await scheduled.describe()
        return found is not None and found.info.num_actions == 3

    await eventually(all_counted, what="the count of three actions")
    assert len(await scheduled.runs()) == 3


SWITCHES: list[tuple[str, dict[str, bool]]] = [
    ("task_inactive", {"is_active": False}),
    ("not_scheduled", {"is_scheduled": False}),
    ("paused", {"schedule_enabled": False}),
]


@pytest.mark.parametrize(("reason", "columns"), SWITCHES)
async def test_a_fire_that_comes_too_late_is_skipped(
    engine: Engine, reason: str, columns: dict[str, bool]
) -> None:
    """The change is committed and was not sent to Temporal yet."""
    scheduled = await Scheduled.make(engine, DONE)
    await scheduled.change(synchronise=False, **columns)
    await trigger_skipped(scheduled, reason)


async def test_a_fire_of_a_deleted_task_is_skipped(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    await scheduled.delete(synchronise=False)
    await trigger_skipped(scheduled, "task_deleted")


async def test_a_fire_over_the_quota_is_skipped(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)
    async with engine.database.transaction() as session:
        user = await session.get_one(UserRow, engine.user_id)
        user.max_concurrent_executions = 0
    try:
        await trigger_skipped(scheduled, "quota_exceeded")
    finally:
        async with engine.database.transaction() as session:
            user = await session.get_one(UserRow, engine.user_id)
            user.max_concurrent_executions = None


async def trigger_skipped(scheduled: Scheduled, reason: str) -> None:
    """Trigger a run. It is skipped for a recorded reason, and its workflow does not fail."""
    await scheduled.handle.trigger()

    async def on_record() -> bool:
        return bool(await scheduled.find_scheduled_runs())

    await eventually(on_record)
    (run,) = await scheduled.find_scheduled_runs()
    assert (run.status, run.reason, run.execution_id) == ("skipped", reason, None)
    assert await scheduled.runs() == []
    query = f"TemporalScheduledById = 'task-{scheduled.id}'"

    async def closed() -> bool:
        found = [w async for w in scheduled.engine.client.list_workflows(query)]
        return [w.status for w in found] == [WorkflowExecutionStatus.COMPLETED]

    await eventually(closed)


async def test_a_paused_schedule_can_be_backfilled(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE, columns={"schedule_enabled": False})
    await scheduled.backfill(*LEAP_DAYS)
    assert [row.status for row in await all_ended(scheduled, 3)] == ["completed"] * 3


async def test_overlap_policies_are_temporals(engine: Engine) -> None:
    """The scheduled workflow runs the execution, so the overlap policy applies to the execution."""
    policy = {"schedule_overlap_policy": "cancel_other"}
    scheduled = await Scheduled.make(engine, ASK, DONE, columns=policy, allowed_tools=["ask_user"])
    await scheduled.backfill(LEAP_DAYS[0], LEAP_DAYS[0] + timedelta(days=365), "skip")
    first = await scheduled.run()
    await first.wait_for_request()
    await scheduled.handle.trigger()
    second = await scheduled.run(1)
    assert (await first.wait_for_end()).status == ExecutionStatus.CANCELLED
    await second.answer(await second.wait_for_request(), message="go")
    assert (await second.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_a_fire_that_meets_another_is_counted(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, ASK, DONE, allowed_tools=["ask_user"])
    await scheduled.handle.trigger()
    run = await scheduled.run()
    request = await run.wait_for_request()
    await scheduled.handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)
    wanted = (await scheduled.find_stored()).wanted
    assert wanted is not None

    async def counted() -> bool:
        state = await Schedules(engine.client).state(wanted)
        assert state is not None
        return (state.skipped, len(state.running)) == (1, 1)

    await eventually(counted)
    await run.answer(request, message="go")
    await run.wait_for_end()


async def test_a_reset_finds_the_execution_again(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, ASK, DONE, allowed_tools=["ask_user"])
    await scheduled.handle.trigger()
    run = await scheduled.run()
    await run.wait_for_request()
    events = json.loads(await run.history())["events"]
    done = [int(e["eventId"]) for e in events if "workflowTaskCompletedEventAttributes" in e]
    await engine.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=engine.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run.handle.id),
            reason="a test",
            request_id=str(new_id()),
            workflow_task_finish_event_id=done[0],
        )
    )
    row = await run.wait_until(lambda row: row.epoch == 1)
    assert row.first_run_id != row.run_id
    await run.answer(await run.wait_for_request(), message="again")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert len(await scheduled.runs()) == 1


async def test_fires_need_no_gateway(engine: Engine) -> None:
    """Only the worker runs here. A calendar is too slow for a test, so it runs every second."""
    scheduled = await Scheduled.make(engine, DONE)

    def each_second(given: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = given.description.schedule
        schedule.spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(seconds=1))])
        return ScheduleUpdate(schedule)

    async def has_run_twice() -> bool:
        """Change the schedule whenever the worker's reconciler has undone the change."""
        described = await scheduled.handle.describe()
        if not described.schedule.spec.intervals:
            await scheduled.handle.update(each_second)
        return len(await scheduled.runs()) >= 2

    await eventually(has_run_twice, what="the second scheduled run")
    rows = await all_ended(scheduled, 2)
    await scheduled.delete()
    assert {row.status for row in rows} == {"completed"}
    assert len({row.trigger_metadata["scheduled_at"] for row in rows}) == len(rows)


async def test_a_fire_that_is_cancelled_before_it_began_is_a_cancelled_execution(
    database_url: str, temporal_address: str, scripted_model: ScriptedModelServer, tmp_path: Path
) -> None:
    """No worker runs yet, so that start and cancel reach the workflow together."""
    place = await make_place(database_url, temporal_address, tmp_path)
    async with open_driver(place, scripted_model) as engine:
        scheduled = await Scheduled.make(engine, DONE)
        await scheduled.handle.trigger()

        async def started() -> str | None:
            found = await scheduled.describe()
            assert found is not None
            running = found.raw_description.info.running_workflows
            return running[0].workflow_id if running else None

        workflow_id = await eventually(started)
        handle = engine.client.get_workflow_handle(workflow_id)
        await handle.cancel()
        async with run_worker(place, scripted_model):
            row = await (await scheduled.run()).wait_for_end()
        assert row.status == ExecutionStatus.CANCELLED
