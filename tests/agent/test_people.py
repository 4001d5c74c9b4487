"""Questions to people, with and without an answer."""

from typing import Any

import pytest

from domain.errors import ErrorCode
from domain.states import ExecutionStatus
from tests.agent.in_memory.driver import Runner, use

QUESTION = {"tool_use": use("ask_user", question="Which colour?")}
CHOICE = {"tool_use": use("ask_user", question="Which colour?", options=["red", "blue"])}
LAST_RESULT = {"text": "{last_tool_result}"}
ASK_USER: dict[str, Any] = {"allowed_tools": ["ask_user"]}


async def test_a_question_in_words(runner: Runner) -> None:
    run = await runner.start(QUESTION, LAST_RESULT, **ASK_USER)
    request = await run.wait_for_request()
    assert (request.kind, request.title, request.options) == ("question", "Which colour?", None)
    await run.answer(request, message="Green, please.")
    await run.wait_for_end()
    assert await run.text() == "Green, please."


@pytest.mark.parametrize("values", ["blue", {"answer": "blue"}])
async def test_a_choice(runner: Runner, values: Any) -> None:
    run = await runner.start(CHOICE, LAST_RESULT, **ASK_USER)
    request = await run.wait_for_request()
    assert request.options == ["red", "blue"]
    await run.answer(request, values=values)
    await run.wait_for_end()
    assert await run.text() == "blue"


async def test_several_questions_are_answered_one_by_one(runner: Runner) -> None:
    run = await runner.start({"tool_use": [QUESTION["tool_use"]] * 2}, LAST_RESULT, **ASK_USER)
    await run.wait_for_request()
    first, second = await run.requests()
    await run.answer(first, message="one")
    await run.answer(second, message="two")
    await run.wait_for_end()
    assert [result["content"] for result in await run.results()] == ["one", "two"]


@pytest.mark.parametrize("mode", ["deny", "fail"])
async def test_no_person_answers(runner: Runner, mode: str) -> None:
    run = await runner.run_to_end(
        QUESTION, LAST_RESULT, **ASK_USER, human_input_policy={"mode": mode}
    )
    row = await run.row()
    expected = (
        (ExecutionStatus.COMPLETED, None)
        if mode == "deny"
        else (ExecutionStatus.FAILED, ErrorCode.INPUT_DENIED)
    )
    assert (row.status, row.error_code) == expected


async def test_due_and_failed(runner: Runner) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "fail"}
    run = await runner.run_to_failure(
        QUESTION, LAST_RESULT, code=ErrorCode.INPUT_EXPIRED, **ASK_USER, human_input_policy=policy
    )
    [request] = await run.requests()
    assert request.status == "expired"
    assert "input.expired" in await run.event_types()


async def test_due_and_denied(runner: Runner) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "deny"}
    run = await runner.run_to_completion(
        {"tool_use": use("bash", command="touch x")},
        LAST_RESULT,
        ask_tools=["bash"],
        human_input_policy=policy,
    )
    assert "No answer came in time." in await run.text()
    assert "person" not in await run.text()
    assert "x" not in run.files


@pytest.mark.parametrize("default", ["red", {"decision": "approve", "values": "red"}])
async def test_due_and_answered_by_default(runner: Runner, default: Any) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "default", "default_answer": default}
    run = await runner.run_to_completion(CHOICE, LAST_RESULT, **ASK_USER, human_input_policy=policy)
    assert await run.text() == "red"


async def test_due_without_a_default_approves_nothing(runner: Runner) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "default"}
    run = await runner.run_to_failure(
        {"tool_use": use("bash", command="touch x")},
        LAST_RESULT,
        ask_tools=["bash"],
        human_input_policy=policy,
        code=ErrorCode.INPUT_EXPIRED,
    )
    assert "x" not in run.files


async def test_due_and_nothing_happens(runner: Runner) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "wait"}
    run = await runner.start(QUESTION, LAST_RESULT, **ASK_USER, human_input_policy=policy)
    request = await run.wait_for_request()
    await run.answer(request, message="late, and welcome")
    await run.wait_for_end()
    assert await run.text() == "late, and welcome"


async def test_the_assignee_is_asked(runner: Runner) -> None:
    policy = {"assignee": "legal"}
    run = await runner.start(QUESTION, LAST_RESULT, **ASK_USER, human_input_policy=policy)
    request = await run.wait_for_request()
    assert request.assignee == "legal"
    await run.cancel()
    await run.wait_for_end()


async def test_a_message_during_a_wait_is_sent_with_the_answer(runner: Runner) -> None:
    run = await runner.start(QUESTION, {"text": "thanks"}, **ASK_USER)
    request = await run.wait_for_request()
    await run.say("By the way: hurry.")
    await run.answer(request, message="Green.")
    await run.wait_for_end()
    _, blocks = (await run.blocks())[2]
    assert [block["type"] for block in blocks] == ["tool_result", "text"]
    assert blocks[1]["text"] == "By the way: hurry."


async def test_a_message_after_the_last_word_is_answered(runner: Runner) -> None:
    run = await runner.start({"text": "one", "gate": "first answer"}, {"text": "two"})
    await run.wait_for_model_call()
    await run.say("And then?")
    runner.model.open_gate("first answer")
    await run.wait_for_end()
    assert await run.text() == "two"
    roles = [role for role, _ in await run.blocks()]
    assert roles == ["user", "assistant", "user", "assistant"]
