"""What operators see of an execution in Temporal, and what they never see."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.common import SearchAttributeKey

from contracts import names
from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from persistence.executions.creation import make_start_request
from tests.engine.driver import Engine, Run, use
from tests.waiting import eventually

ASK = {"tool_use": use("ask_user", question="?")}
ASK_USER = ["ask_user"]

MOST_EVENTS, MOST_BYTES = 30, 10_000
"""Of an execution that waits for no person (chosen)."""


def status_of(description: object) -> str | None:
    attributes = description.typed_search_attributes  # type: ignore[attr-defined] # WorkflowExecution
    status: str | None = attributes.get(SearchAttributeKey.for_keyword(names.STATUS))
    return status


async def history_size(run: Run) -> tuple[int, int]:
    """Return the number of events and of bytes, as the server counts them."""
    description = await run.handle.describe()
    info = description.raw_description.workflow_execution_info
    return info.history_length, info.history_size_bytes


@pytest.mark.parametrize("turns", [4, 100, pytest.param(1000, marks=pytest.mark.long)])
async def test_history_does_not_grow_with_the_conversation(engine: Engine, turns: int) -> None:
    run = await engine.start(
        {"text": "", "size": 2000, "tool_use": use("list_files"), "repeat": turns - 1},
        {"text": "done", "size": 2000},
        allowed_tools=["list_files"],
        sdk_options={"max_turns": 1000},
    )
    row = await run.wait_for_end(within=250)
    assert (row.status, row.total_turns) == (ExecutionStatus.COMPLETED, turns)
    events, size = await history_size(run)
    assert events <= MOST_EVENTS
    assert size <= MOST_BYTES


async def test_a_short_execution_has_one_activity(engine: Engine) -> None:
    run = await engine.run_to_completion({"text": "x"}, title="Read me")
    events = json.loads(await run.history())["events"]
    scheduled = [
        event["activityTaskScheduledEventAttributes"]["activityType"]["name"]
        for event in events
        if "activityTaskScheduledEventAttributes" in event
    ]
    assert scheduled == ["call_claude"]
    assert not any("markerRecordedEventAttributes" in event for event in events)


async def test_a_workflow_shows_which_version_ran_it(engine: Engine) -> None:
    run = await engine.run_to_completion({"text": "x"})
    completed = [
        event["workflowTaskCompletedEventAttributes"]
        for event in json.loads(await run.history())["events"]
        if "workflowTaskCompletedEventAttributes" in event
    ]
    assert completed
    for attributes in completed:
        assert attributes["workerDeploymentName"] == "perdure"
        assert attributes["workerVersion"] == {"buildId": version("perdure")}


async def test_progress_details_and_attributes_follow_the_execution(engine: Engine) -> None:
    run = await engine.start(ASK, {"text": "x"}, allowed_tools=ASK_USER, title="Follow me")
    request = await run.wait_for_request()

    async def is_waiting() -> bool:
        progress = await run.handle.query(names.PROGRESS)
        return bool(progress["status"] == "waiting_for_user")

    await eventually(is_waiting)
    progress = await run.handle.query(names.PROGRESS)
    assert progress["turns"] == 1
    assert float(progress["cost_usd"]) > 0
    description = await run.handle.describe()
    assert status_of(description) == "waiting_for_user"
    assert await description.static_summary() == f"{(await run.row()).title} (manual)"
    metadata = await run.handle.query("__temporal_workflow_metadata")
    assert "waiting_for_user" in metadata.current_details
    await run.answer(request, message="x")
    row = await run.wait_for_end()
    description = await run.handle.describe()
    assert status_of(description) == "completed"
    attributes = description.typed_search_attributes
    cost = attributes.get(SearchAttributeKey.for_float(names.COST_USD))
    assert cost == pytest.approx(float(row.cost_usd))
    assert attributes.get(SearchAttributeKey.for_keyword(names.USER_ID)) == str(row.user_id)
    assert attributes.get(SearchAttributeKey.for_keyword(names.TASK_ID)) == str(row.task_id)
    assert attributes.get(SearchAttributeKey.for_keyword(names.TRIGGER)) == "manual"
    assert attributes.get(SearchAttributeKey.for_keyword_list(names.TAGS)) == ["tests"]


async def test_a_failure_is_a_failure_in_temporal_too(engine: Engine) -> None:
    run = await engine.run_to_failure(
        {"text": "no", "stop_reason": "refusal"}, code=ErrorCode.MODEL_REFUSED
    )
    description = await run.handle.describe()
    assert description.status is not None
    assert description.status.name == "FAILED"
    assert '"type": "model_refused"' in await run.history()
    assert status_of(description) == "failed"


async def test_heartbeats_hold_progress_and_no_content(engine: Engine) -> None:
    run = await engine.start(
        {"text": "a secret thought", "tool_use": use("bash", command="echo secret; sleep 600")},
        allowed_tools=["bash"],
    )
    await run.wait_for_tool_call()

    async def beat() -> str | None:
        [pending] = (await run.handle.describe()).raw_description.pending_activities
        assert pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        beats = [payload.data.decode() for payload in pending.heartbeat_details.payloads]
        return next((beat for beat in beats if "bash" in beat), None)

    details = await eventually(beat)
    assert json.loads(details).keys() == {"turn", "tool", "cost_usd"}
    assert "secret" not in details
    await run.cancel()
    await run.wait_for_end()


async def test_an_end_that_the_workflow_does_not_know_has_its_totals(engine: Engine) -> None:
    """As if the worker died after it wrote the end: the next attempt only reads it."""
    ended = {
        "status": "completed",
        "completed_at": datetime.now(UTC),
        "total_turns": 3,
        "cost_usd": Decimal("0.25"),
    }
    run = await engine.start({"text": "x"}, dispatch=False, columns=ended)
    assert await engine.dispatcher.start(make_start_request(await run.row()))
    await eventually(lambda: has_closed(run))
    progress = await run.handle.query(names.PROGRESS)
    assert (progress["turns"], float(progress["cost_usd"])) == (3, 0.25)


async def has_closed(run: Run) -> bool:
    return (await run.handle.describe()).close_time is not None
