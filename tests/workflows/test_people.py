"""Answers to executions on the real engine: what the gateway accepts, and what is kept of it."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from domain.errors import AlreadyAnsweredError, ErrorCode, InputChangedError, InvalidInputError
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.executions.creation import make_start_request
from persistence.identity import users
from persistence.tables.definitions import TaskRow
from persistence.tables.ledger import AuditRow, NotificationRow
from persistence.tables.sessions import InputRequestRow
from services.executions import control, reminding
from services.executions.inputs import ExecuteBody, FinishBody
from services.executions.remembering import REMEMBERED_DECISIONS
from services.executions.starting import start_task
from tests.engine.driver import Engine, Run, script, use
from tests.waiting import eventually

QUESTION = {"tool_use": use("ask_user", question="Which colour?")}
LAST_RESULT = {"text": "{last_tool_result}"}
ASK_USER: dict[str, Any] = {"allowed_tools": ["ask_user"]}
WRITE = {"tool_use": use("write_file", path="note", content="one")}
ASKING: dict[str, Any] = {"ask_tools": ["write_file"]}
HOUR = timedelta(hours=1)


async def note(run: Run) -> str | None:
    file = await run.workspace() / "note"
    return file.read_text() if file.exists() else None


async def test_an_approved_call_runs_as_it_was_asked(engine: Engine) -> None:
    run = await engine.start(WRITE, LAST_RESULT, **ASKING)
    request = await run.wait_for_request()
    assert request.kind == "approval"
    assert request.tool_input is not None
    assert request.input_sha256 == hashlib.sha256(request.tool_input.encode()).digest()
    assert await note(run) is None
    with pytest.raises(InputChangedError):
        await run.answer(request, decision="approve", input_sha256="00" * 32)
    await run.answer(request, decision="approve", input_sha256=request.input_sha256.hex())
    with pytest.raises(AlreadyAnsweredError):
        await run.answer(request, decision="deny")
    row = await run.wait_for_end()
    assert (row.status, await note(run)) == (ExecutionStatus.COMPLETED, "one")
    types = await run.event_types()
    assert types.index("input.requested") < types.index("input.answered")
    assert types.index("input.answered") < types.index("tool.started")


async def test_an_edit_of_the_wrong_shape_does_not_spend_the_approval(engine: Engine) -> None:
    run = await engine.start(WRITE, LAST_RESULT, **ASKING)
    request = await run.wait_for_request()
    with pytest.raises(InvalidInputError):
        await run.answer(request, decision="edit", input={"file": "note"})
    await run.answer(request, decision="edit", input={"path": "note", "content": "three"})
    await run.wait_for_end()
    assert await note(run) == "three"


async def test_past_due_takes_no_answer(engine: Engine) -> None:
    policy = {"due_seconds": 0.1, "on_expiry": "fail"}
    run = await engine.run_to_end(QUESTION, LAST_RESULT, **ASK_USER, human_input_policy=policy)
    [request] = await run.requests()
    with pytest.raises(AlreadyAnsweredError):
        await run.answer(request, message="too late")
    async with engine.database.reading() as session:
        [entry] = await session.scalars(select(AuditRow).where(AuditRow.entity_id == request.id))
    assert (entry.action, entry.actor_id) == ("input_request.expire", None)
    assert entry.owner_id == request.user_id
    assert entry.after == {
        "kind": "question",
        "on_expiry": "fail",
        "execution_id": str(run.id),
    }


async def test_a_deadline_ends_a_wait(engine: Engine) -> None:
    deadline = datetime.now(UTC) + HOUR
    run = await engine.start(QUESTION, LAST_RESULT, **ASK_USER, columns={"deadline_at": deadline})
    await run.wait_for_request()
    await run.set_deadline_to_now()
    await run.skip_time(2 * HOUR)
    assert (await run.wait_for_end()).error_code == ErrorCode.DEADLINE_PASSED
    [request] = await run.requests()
    assert request.status == "cancelled"


async def test_the_owner_of_a_shared_task_gets_no_requests_of_other_users(engine: Engine) -> None:
    policy = {"assignee": "its owner"}
    config = {"email": [{"to": "its-owner@example.com"}]}
    asks = use("delegate", title="part", prompt=script(QUESTION, LAST_RESULT))
    run = await engine.start(
        {"tool_use": [QUESTION["tool_use"], asks]},
        LAST_RESULT,
        allowed_tools=["ask_user", "delegate"],
        human_input_policy=policy,
        notification_config=config,
        dispatch=False,
    )
    row = await run.row()
    async with engine.database.transaction() as session:
        owner = await users.find_or_create(session, "its owner", "user")
        task = await session.get_one(TaskRow, row.task_id)
        task.user_id, task.is_public = owner.id, True
    assert await engine.dispatcher.start(make_start_request(row))
    asked = await run.wait_for_request()
    [child] = await run.children()
    of_subtask = await child.wait_for_request()
    assert (asked.assignee, of_subtask.assignee) == (None, None)
    async with engine.database.reading() as session:
        sent = select(NotificationRow).where(NotificationRow.user_id == row.user_id)
        sent = sent.where(NotificationRow.execution_id.in_([run.id, child.id]))
        assert (await session.scalars(sent)).all() == []
    await run.cancel()
    await run.wait_for_end()


async def test_a_remembered_approval_asks_no_more_until_it_is_revoked(engine: Engine) -> None:
    again = {"tool_use": use("write_file", path="note", content="two")}
    run = await engine.start(WRITE, WRITE, again, LAST_RESULT, **ASKING)
    request = await run.wait_for_request()
    await run.answer(request, decision="approve", remember="task")
    other = await run.wait_for_request()  # the second call is the same one, the third is not
    assert other.tool_input is not None
    assert "two" in other.tool_input
    await run.answer(other, decision="deny")
    await run.wait_for_end()
    first, second, third = await run.tool_calls()
    assert [call.status for call in (first, second, third)] == ["succeeded", "succeeded", "denied"]
    assert (first.remembered_decision_id, third.remembered_decision_id) == (None, None)
    assert second.remembered_decision_id is not None
    later = await start_again(engine, run)
    assert (await later.wait_for_request()).tool_input == other.tool_input
    await later.cancel()
    async with engine.transaction() as work:
        rule_id = second.remembered_decision_id
        await REMEMBERED_DECISIONS.delete(work, rule_id, lambda _: None)
    last = await start_again(engine, run)
    assert (await last.wait_for_request()).tool_input == request.tool_input
    await last.cancel()


async def start_again(engine: Engine, run: Run) -> Run:
    """Another execution of the same task."""
    row = await run.row()
    assert row.task_id is not None
    async with engine.transaction() as work:
        started = await start_task(work, row.task_id, ExecuteBody())
    return engine.run(started.id)


async def test_an_escalated_request_expires_by_its_second_rule(engine: Engine) -> None:
    policy = {
        "due_seconds": 0.3,
        "on_expiry": "escalate",
        "escalate_to": "ann",
        "on_escalation_expiry": "deny",
        "remind_after_seconds": [0.1],
    }
    run = await engine.start(WRITE, LAST_RESULT, **ASKING, human_input_policy=policy)

    async def expired() -> bool:
        await reminding.act_on_due(engine.database, engine.services.workflows)
        return (await run.row()).completed_at is not None

    await eventually(expired, what="the end")
    await run.wait_for_end()
    [request] = await run.requests()
    assert (request.status, request.assignee) == ("expired", "ann")
    types = [t for t in await run.event_types() if t.startswith("input.")]
    assert types[0] == "input.requested"
    assert types[-2:] == ["input.escalated", "input.expired"]
    assert await note(run) is None


@pytest.mark.parametrize("answers", [[], [{"message": "Blue.", "undo_seconds": 60}]])
async def test_a_waiting_execution_answers_when_it_is_asked_to_finish(
    engine: Engine, answers: Sequence[dict[str, Any]]
) -> None:
    """Also if an answer is held."""
    run = await engine.start(QUESTION, {"text": "This is all."}, **ASK_USER)
    asked = await run.wait_for_request()
    for answer in answers:
        await run.answer(asked, **answer)
    async with engine.transaction() as work:
        await control.finish(work, run.id, FinishBody(message="Be short."))
    row = await run.wait_for_end()
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, "This is all.")
    [request] = await run.requests()
    assert request.status == "cancelled"
    assert "Be short." in str(await run.blocks())


async def test_the_plan_of_plan_mode_is_edited_and_carried_out(engine: Engine) -> None:
    submit = {"tool_use": use("submit_plan", plan="1. Write.")}
    run = await engine.start(
        submit,
        WRITE,
        LAST_RESULT,
        allowed_tools=["write_file"],
        sdk_options={"permission_mode": "plan"},
    )
    request = await run.wait_for_request()
    assert request.kind == "plan_approval"
    with pytest.raises(InvalidInputError):
        await run.answer(request, decision="edit", input={"steps": []})
    await run.answer(request, decision="edit", input={"plan": "2. Write."})
    await run.wait_for_end()
    assert await note(run) == "one"
    assert "2. Write." in str(await run.blocks())


async def test_after_a_new_message_the_model_is_asked_again(engine: Engine) -> None:
    policy = {"recheck_tools": ["write_file"]}
    run = await engine.start(WRITE, WRITE, LAST_RESULT, **ASKING, human_input_policy=policy)
    request = await run.wait_for_request()
    await run.say("It is Monday.")
    await run.answer(request, decision="approve")
    await run.wait_for_end()
    assert [call.status for call in await run.tool_calls()] == ["denied", "succeeded"]
    assert len(await run.requests()) == 1
    assert await note(run) == "one"


async def test_after_another_call_has_written_a_file_the_model_is_asked_again(
    engine: Engine,
) -> None:
    beside = use("write_file", path="other", content="two")
    run = await engine.start(
        {"tool_use": [WRITE["tool_use"], beside]},
        WRITE,
        LAST_RESULT,
        ask_tools=["write_file(note)"],
        allowed_tools=["write_file"],
        human_input_policy={"recheck_tools": ["write_file"]},
    )
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    stale, other, repeated = await run.tool_calls()
    assert [stale.status, other.status, repeated.status] == ["denied", "succeeded", "succeeded"]
    assert "other calls have written other" in (stale.output or "")


async def test_the_model_may_drop_a_call_that_was_approved_late(engine: Engine) -> None:
    """It is asked again with the present state, and its new decision counts."""
    policy = {"recheck_tools": ["write_file"]}
    answer = {"text": "It is not needed any more."}
    run = await engine.start(WRITE, answer, **ASKING, human_input_policy=policy)
    request = await run.wait_for_request()
    async with engine.database.transaction() as session:
        (await session.get_one(InputRequestRow, request.id)).created_at -= 3 * HOUR
    await run.say(word := f"The release was at noon {new_id()}.")
    await run.answer(request, decision="approve")
    row = await run.wait_for_end()
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, answer["text"])
    await engine.wait_for_model_request(word)
    [stale] = await run.tool_calls()
    assert stale.status == "denied"
    assert "a person answered after 3 hours, and 1 new message" in (stale.output or "")
    assert (len(await run.requests()), await note(run)) == (1, None)
