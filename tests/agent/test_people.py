"""Questions to people, with and without an answer."""

from typing import Any

import pytest

from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from tests.agent.in_memory.driver import Runner, script, use

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


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"values": {"answer": False}}, "false"),
        ({"values": {"answer": 0}}, "0"),
        ({"values": 0.0}, "0.0"),
        ({"values": {"answer": ""}}, '""'),
        ({"values": []}, "[]"),
        ({"values": {"answer": 0}, "message": "as ever"}, "0\nas ever"),
    ],
)
async def test_values_without_words_are_answers(
    runner: Runner, answer: dict[str, Any], expected: str
) -> None:
    run = await runner.start(QUESTION, LAST_RESULT, **ASK_USER)
    await run.answer(await run.wait_for_request(), **answer)
    await run.wait_for_end()
    assert await run.text() == expected


RUN = {"tool_use": use("bash", command="touch x; echo RAN")}
NO_DECISIONS: list[Any] = [
    "no", "deny", False, 0, "", ["deny"], {"answer": "no"}, {"approved": False},
    {"decision": "nope"}, {"decision": "DENY"}, {"decision": None}, {"decision": "edit"},
    {"values": {"answer": "no"}}, {"decision": "edit", "input": {"zzz": 1}},
    {"decision": "edit", "input": {"command": "echo changed >> x"}}, {"decision": "deny"},
]  # fmt: skip


@pytest.mark.parametrize("default", NO_DECISIONS)
async def test_only_a_decision_lets_a_call_run_by_default(runner: Runner, default: Any) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "default", "default_answer": default}
    run = await runner.run_to_completion(
        RUN,
        LAST_RESULT,
        ask_tools=["bash"],
        disallowed_tools=["bash(echo changed*)"],
        human_input_policy=policy,
    )
    assert run.files == {}
    assert "No answer came in time." in await run.text()
    assert "A person" not in await run.text()
    [request] = await run.requests()
    assert request.status == "expired"


@pytest.mark.parametrize(
    ("default", "printed"),
    [
        ({"decision": "approve"}, "RAN"),
        ({"decision": "edit", "input": {"command": "echo edited"}}, "edited"),
    ],
)
async def test_a_decision_lets_a_call_run_by_default(
    runner: Runner, default: Any, printed: str
) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "default", "default_answer": default}
    run = await runner.run_to_completion(
        RUN, LAST_RESULT, ask_tools=["bash"], human_input_policy=policy
    )
    assert f"{printed}\n\n[exit code 0]" in await run.text()


@pytest.mark.parametrize(
    "default", ["z", [], {"values": {"answer": "z"}}, {"decision": "approve"}, {"decision": "deny"}]
)
async def test_a_default_that_is_no_option_is_no_answer(runner: Runner, default: Any) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "default", "default_answer": default}
    run = await runner.run_to_completion(CHOICE, LAST_RESULT, **ASK_USER, human_input_policy=policy)
    [result] = await run.results()
    assert result["is_error"] is True
    assert result["content"].startswith("No answer came in time.")
    assert "person" not in result["content"]


async def test_the_model_gets_the_input_that_ran(runner: Runner) -> None:
    run = await runner.start(RUN, LAST_RESULT, ask_tools=["bash"])
    await run.answer(
        await run.wait_for_request(), decision="edit", input={"command": "echo edited"}
    )
    await run.wait_for_end()
    text = await run.text()
    assert text.startswith("The input of this call was changed before it was approved.")
    assert '{"command": "echo edited"}' in text
    assert "edited\n\n[exit code 0]" in text


async def test_an_edit_that_changes_nothing_is_not_mentioned(runner: Runner) -> None:
    run = await runner.start(RUN, LAST_RESULT, ask_tools=["bash"])
    same = {"command": "touch x; echo RAN"}
    await run.answer(await run.wait_for_request(), decision="edit", input=same)
    await run.wait_for_end()
    assert await run.text() == "RAN\n\n[exit code 0]"


async def test_an_edited_subtask_is_reported_with_its_prompt(runner: Runner) -> None:
    part = use("delegate", title="part", prompt=script({"text": "first"}))
    run = await runner.start({"tool_use": part}, LAST_RESULT, ask_tools=["delegate"])
    edited = {"title": "part", "prompt": script({"text": "second"})}
    await run.answer(await run.wait_for_request(), decision="edit", input=edited)
    await run.wait_for_end()
    assert (await run.text()).startswith("The input of this call was changed")
    assert (await run.text()).endswith("second")


async def test_the_message_of_a_default_is_no_persons(runner: Runner) -> None:
    default = {"decision": "deny", "message": "Ask during office hours."}
    policy = {"due_seconds": 0.01, "on_expiry": "default", "default_answer": default}
    run = await runner.run_to_completion(
        RUN, LAST_RESULT, ask_tools=["bash"], human_input_policy=policy
    )
    assert await run.text() == (
        "No answer came in time. This call needs approval, so it did not run. "
        "The task's default answer is: Ask during office hours."
    )


QUOTA = {
    "status": 402, "type": "billing_error", "message": "The limit is reached.", "times": 50
}  # fmt: skip


APPROVING = {
    "due_seconds": 0.001, "on_expiry": "default", "default_answer": {"decision": "approve"}
}  # fmt: skip


async def test_a_default_approval_calls_a_few_times_at_a_spend_limit(runner: Runner) -> None:
    run = await runner.run_to_failure(
        {"error": QUOTA}, code=ErrorCode.MODEL_ERROR, human_input_policy=APPROVING
    )
    assert "spend limit was reached 9 times" in ((await run.row()).error_message or "")
    assert len(await run.model_calls()) == 9


@pytest.mark.parametrize("default", ["no", {"decision": "deny"}, {"values": "approve"}, False])
async def test_a_default_that_is_no_approval_ends_a_spend_limit(
    runner: Runner, default: Any
) -> None:
    policy = {"due_seconds": 0.01, "on_expiry": "default", "default_answer": default}
    run = await runner.run_to_failure(
        {"error": QUOTA}, code=ErrorCode.INPUT_EXPIRED, human_input_policy=policy
    )
    assert len(await run.requests()) == 1
    assert len(await run.model_calls()) == 1
