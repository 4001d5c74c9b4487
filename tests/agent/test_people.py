"""Questions to people, and what happens when nobody answers them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from domain.errors import AlreadyAnsweredError, ErrorCode
from domain.states import ExecutionStatus
from persistence.executions.creation import request_of
from persistence.identity import users
from persistence.tables.notifications import NotificationRow
from persistence.tables.tasks import TaskRow
from tests.engine.driver import Engine, script, use

QUESTION = {"tool_use": use("ask_user", question="Which colour?")}
CHOICE = {"tool_use": use("ask_user", question="Which colour?", options=["red", "blue"])}
TOLD = {"text": "{last_tool_result}"}
ASK_USER: dict[str, Any] = {"allowed_tools": ["ask_user"]}


async def test_a_question_in_words(engine: Engine) -> None:
    run = await engine.start(QUESTION, TOLD, **ASK_USER)
    request = await run.open_request()
    assert (request.kind, request.title, request.options) == ("question", "Which colour?", None)
    await run.answer(request, message="Green, please.")
    await run.ended()
    assert await run.text() == "Green, please."


@pytest.mark.parametrize("values", ["blue", {"answer": "blue"}])
async def test_a_choice(engine: Engine, values: Any) -> None:
    run = await engine.start(CHOICE, TOLD, **ASK_USER)
    request = await run.open_request()
    assert request.options == ["red", "blue"]
    await run.answer(request, values=values)
    await run.ended()
    assert await run.text() == "blue"


async def test_several_questions_are_answered_one_by_one(engine: Engine) -> None:
    run = await engine.start({"tool_use": [QUESTION["tool_use"]] * 2}, TOLD, **ASK_USER)
    await run.open_request()
    first, second = await run.requests()
    await run.answer(first, message="one")
    await run.answer(second, message="two")
    await run.ended()
    assert [result["content"] for result in await run.results()] == ["one", "two"]


@pytest.mark.parametrize("mode", ["deny", "fail"])
async def test_nobody_is_there_to_ask(engine: Engine, mode: str) -> None:
    run = await engine.done(QUESTION, TOLD, **ASK_USER, human_input_policy={"mode": mode})
    row = await run.row()
    expected = (
        (ExecutionStatus.COMPLETED, None)
        if mode == "deny"
        else (ExecutionStatus.FAILED, ErrorCode.INPUT_DENIED)
    )
    assert (row.status, row.error_code) == expected


async def test_due_and_failed(engine: Engine) -> None:
    policy = {"due_seconds": 0.1, "on_expiry": "fail"}
    run = await engine.failed(
        QUESTION, TOLD, code=ErrorCode.INPUT_EXPIRED, **ASK_USER, human_input_policy=policy
    )
    [request] = await run.requests()
    assert request.status == "expired"
    assert "input.expired" in await run.event_types()


async def test_due_and_denied(engine: Engine) -> None:
    policy = {"due_seconds": 0.1, "on_expiry": "deny"}
    run = await engine.completed(
        {"tool_use": use("bash", command="touch x")},
        TOLD,
        ask_tools=["bash"],
        human_input_policy=policy,
    )
    assert "Nobody answered in time." in await run.text()
    assert not (await run.workspace() / "x").exists()


@pytest.mark.parametrize("default", ["red", {"decision": "approve", "values": "red"}])
async def test_due_and_answered_by_default(engine: Engine, default: Any) -> None:
    policy = {"due_seconds": 0.1, "on_expiry": "default", "default_answer": default}
    run = await engine.completed(CHOICE, TOLD, **ASK_USER, human_input_policy=policy)
    assert await run.text() == "red"


async def test_due_without_a_default_approves_nothing(engine: Engine) -> None:
    policy = {"due_seconds": 0.1, "on_expiry": "default"}
    run = await engine.failed(
        {"tool_use": use("bash", command="touch x")},
        TOLD,
        ask_tools=["bash"],
        human_input_policy=policy,
        code=ErrorCode.INPUT_EXPIRED,
    )
    assert not (await run.workspace() / "x").exists()


async def test_due_and_nothing_happens(engine: Engine) -> None:
    policy = {"due_seconds": 0.05, "on_expiry": "wait"}
    run = await engine.start(QUESTION, TOLD, **ASK_USER, human_input_policy=policy)
    request = await run.open_request()
    await run.answer(request, message="late, and welcome")
    await run.ended()
    assert await run.text() == "late, and welcome"


async def test_past_due_takes_no_answer(engine: Engine) -> None:
    policy = {"due_seconds": 0.1, "on_expiry": "fail"}
    run = await engine.done(QUESTION, TOLD, **ASK_USER, human_input_policy=policy)
    [request] = await run.requests()
    with pytest.raises(AlreadyAnsweredError):
        await run.answer(request, message="too late")


async def test_a_deadline_ends_a_wait(engine: Engine) -> None:
    run = await engine.failed(
        QUESTION,
        TOLD,
        code=ErrorCode.DEADLINE_PASSED,
        **ASK_USER,
        columns={"deadline_at": datetime.now(UTC) + timedelta(seconds=5)},
    )
    [request] = await run.requests()
    assert request.status == "cancelled"


async def test_the_assignee_is_asked(engine: Engine) -> None:
    policy = {"assignee": "legal"}
    run = await engine.start(QUESTION, TOLD, **ASK_USER, human_input_policy=policy)
    request = await run.open_request()
    assert request.assignee == "legal"
    await run.cancel()
    await run.ended()


async def test_a_message_while_it_waits_is_told_with_the_answer(engine: Engine) -> None:
    run = await engine.start(QUESTION, {"text": "thanks"}, **ASK_USER)
    request = await run.open_request()
    await run.say("By the way: hurry.")
    await run.answer(request, message="Green.")
    await run.ended()
    _, blocks = (await run.blocks())[2]
    assert [block["type"] for block in blocks] == ["tool_result", "text"]
    assert blocks[1]["text"] == "By the way: hurry."


async def test_a_message_after_the_last_word_is_answered(engine: Engine) -> None:
    run = await engine.start({"text": "one", "delay_ms": 3000}, {"text": "two"})
    await run.calling()
    await run.say("And then?")
    await run.ended()
    assert await run.text() == "two"
    roles = [role for role, _ in await run.blocks()]
    assert roles == ["user", "assistant", "user", "assistant"]


async def test_who_shares_a_task_is_neither_asked_nor_told_in_others_runs(engine: Engine) -> None:
    policy = {"assignee": "its owner"}
    told = {"email": [{"to": "its-owner@example.com"}]}
    asks = use("delegate", title="part", prompt=script(QUESTION, TOLD))
    run = await engine.start(
        {"tool_use": [QUESTION["tool_use"], asks]},
        TOLD,
        allowed_tools=["ask_user", "delegate"],
        human_input_policy=policy,
        notification_config=told,
        dispatch=False,
    )
    row = await run.row()
    async with engine.database.transaction() as session:
        owner = await users.see(session, "its owner", "user")
        task = await session.get_one(TaskRow, row.task_id)
        task.user_id, task.is_public = owner.id, True
    assert await engine.dispatcher.start(request_of(row))
    asked = await run.open_request()
    [child] = await run.children()
    of_subtask = await child.open_request()
    assert (asked.assignee, of_subtask.assignee) == (None, None)
    async with engine.database.reading() as session:
        sent = select(NotificationRow).where(NotificationRow.user_id == row.user_id)
        sent = sent.where(NotificationRow.execution_id.in_([run.id, child.id]))
        assert (await session.scalars(sent)).all() == []
    await run.cancel()
    await run.ended()
