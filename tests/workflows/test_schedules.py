"""Fires of schedules, from the real server to the record."""

from datetime import UTC, datetime, timedelta

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from domain.ids import new_id
from domain.states import ExecutionStatus
from persistence.fires import told
from tests.engine.driver import Engine, use
from tests.engine.scheduling import RARELY, Scheduled
from tests.waiting import eventually

ASK = {"tool_use": use("ask_user", question="?")}
DONE = {"text": "done"}
LEAP_DAYS = (datetime(2016, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC))
"""Three fires of `RARELY` lie between them."""


async def test_a_fire_is_an_execution(engine: Engine) -> None:
    scheduled = await Scheduled.make(engine, DONE)

    await scheduled.handle.trigger()

    run = await scheduled.run()
    row = await run.ended()
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
    assert row.trigger_metadata == {"scheduled_at": told(due)}
    assert "scheduled" in (await description.static_summary() or "")
    assert (await run.event_types())[0] == "execution.created"
