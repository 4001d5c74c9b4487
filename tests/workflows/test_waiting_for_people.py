"""Days of waiting for people, in seconds: reminders, escalation, working hours and expiry.

Temporal's server skips the time of a workflow. The times that requests store are compared with the
clock of the machine, so a test moves them back by the same duration (`pass_time`).
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.ids import new_id
from domain.people.working_hours import WorkingHours
from persistence.tables.people import GroupRow
from persistence.tables.sessions import InputRequestRow
from services.executions import reminding
from tests.engine.driver import Engine, Run, use

WRITE = {"tool_use": use("write_file", path="note", content="one")}
QUESTION = {"tool_use": use("ask_user", question="Which colour?")}
LAST_RESULT = {"text": "{last_tool_result}"}
HOUR = timedelta(hours=1)


async def pass_time(engine: Engine, request_id: UUID, duration: timedelta) -> InputRequestRow:
    """Move the times of an open request back, and do what is due then."""
    async with engine.database.transaction() as session:
        row = await session.get_one(InputRequestRow, request_id, with_for_update=True)
        row.reminders = [
            {**r, "at": (datetime.fromisoformat(r["at"]) - duration).isoformat()}
            for r in row.reminders
        ]
        row.due_at = row.due_at and row.due_at - duration
        row.next_action_at = row.next_action_at and row.next_action_at - duration
    await reminding.act_on_due(engine.database, engine.services.workflows)
    async with engine.database.reading() as session:
        return await session.get_one(InputRequestRow, request_id)


async def make_group(engine: Engine, hours: dict[str, Any]) -> str:
    """How a new group with these working hours is assigned."""
    name = f"g{new_id().hex}"
    async with engine.database.transaction() as session:
        session.add(GroupRow(user_id=engine.user_id, name=name, working_hours=hours))
    return f"group:{name}"


async def input_events(run: Run) -> list[str]:
    return [t for t in await run.event_types() if t.startswith("input.")]


async def test_a_request_is_recalled_escalated_and_denied_over_days(engine: Engine) -> None:
    hours = {"time_zone": "Asia/Tokyo", "days": ["tue", "thu"], "start": "09:00", "end": "10:00"}
    group = await make_group(engine, hours)
    policy = {
        "due_seconds": 8 * 3600,
        "on_expiry": "escalate",
        "remind_after_seconds": [3600, 7200],
        "escalate_to": group,
        "on_escalation_expiry": "deny",
    }
    run = await engine.start(
        WRITE, LAST_RESULT, ask_tools=["write_file"], human_input_policy=policy
    )
    request = await run.wait_for_request()
    for count in (1, 2):
        recalled = await pass_time(engine, request.id, HOUR)
        assert [r["sent_at"] is not None for r in recalled.reminders] == [True, count == 2]
    before = datetime.now(UTC)
    escalated = await pass_time(engine, request.id, 6 * HOUR)
    assert (escalated.assignee, escalated.on_expiry) == (group, "deny")
    office = WorkingHours.parse(hours)
    assert office is not None
    assert escalated.due_at is not None
    # Eight of the group's hours: four weeks.
    due_at = office.add(before, 8 * HOUR)
    assert due_at <= escalated.due_at <= due_at + timedelta(minutes=5)
    assert await input_events(run) == [
        "input.requested",
        "input.reminded",
        "input.reminded",
        "input.escalated",
    ]
    left = escalated.due_at - datetime.now(UTC)
    assert left > timedelta(weeks=3)
    await pass_time(engine, request.id, left)
    await run.skip_time(left + HOUR)
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert (call.status, (await input_events(run))[-1]) == ("denied", "input.expired")


async def test_a_default_answers_after_three_days(engine: Engine) -> None:
    days = timedelta(days=3)
    policy = {
        "due_seconds": days.total_seconds(),
        "on_expiry": "default",
        "default_answer": "blue",
    }
    run = await engine.start(
        QUESTION, LAST_RESULT, allowed_tools=["ask_user"], human_input_policy=policy
    )
    request = await run.wait_for_request()
    await pass_time(engine, request.id, days)
    await run.skip_time(days + HOUR)
    await run.wait_for_end()
    assert await run.text() == "blue"
    assert await input_events(run) == ["input.requested", "input.expired"]
