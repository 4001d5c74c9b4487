"""Plan mode: the model only reads until a person approves its plan, which they may change."""

import json
from typing import Any

import pytest

from tests.agent.in_memory.driver import Runner, script, use

WRITE = use("write_file", path="note", content="one")
SUBMIT = use("submit_plan", plan="1. Write the note.")
LAST_RESULT = {"text": "{last_tool_result}"}
PLANNING: dict[str, Any] = {
    "allowed_tools": ["write_file", "delegate"],
    "sdk_options": {"permission_mode": "plan"},
}


async def test_after_the_approval_all_tools_run(runner: Runner) -> None:
    turns = ({"tool_use": WRITE}, {"tool_use": SUBMIT}, {"tool_use": [SUBMIT, WRITE]})
    run = await runner.start(*turns, LAST_RESULT, **PLANNING)
    request = await run.wait_for_request()
    assert (request.kind, json.loads(request.tool_input or "")) == (
        "plan_approval",
        {"plan": "1. Write the note."},
    )
    assert "note" not in run.files
    await run.answer(request, decision="approve", message="Go.")
    await run.wait_for_end()
    early, plan, again, wrote = await run.tool_calls()
    assert (early.status, "submit_plan" in (early.output or "")) == ("denied", True)
    assert (plan.status, "Their message: Go." in (plan.output or "")) == ("succeeded", True)
    assert (again.status, "approved your plan already" in (again.output or "")) == ("failed", True)
    assert (wrote.status, run.files["note"]) == ("succeeded", "one")


@pytest.mark.parametrize(
    ("answer", "text", "is_approved"),
    [
        ({"decision": "edit", "input": {"plan": "2. Else."}}, "Carry out this plan:", True),
        ({"decision": "deny", "message": "Too short."}, "Their message: Too short.", False),
    ],
)
async def test_a_person_changes_or_refuses_the_plan(
    runner: Runner, answer: dict[str, Any], text: str, *, is_approved: bool
) -> None:
    turns = ({"tool_use": SUBMIT}, {"tool_use": WRITE})
    run = await runner.start(*turns, LAST_RESULT, **PLANNING)
    await run.answer(await run.wait_for_request(), **answer)
    await run.wait_for_end()
    plan, wrote = await run.tool_calls()
    assert text in (plan.output or "")
    assert ("2. Else." in (plan.output or "")) is (answer["decision"] == "edit")
    assert wrote.status == ("succeeded" if is_approved else "denied")


async def test_subtasks_are_delegated_after_the_approval(runner: Runner) -> None:
    child = use("delegate", title="part", prompt=script({"tool_use": WRITE}, LAST_RESULT))
    turns = ({"tool_use": child}, {"tool_use": SUBMIT}, {"tool_use": child})
    run = await runner.start(*turns, LAST_RESULT, **PLANNING)
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    statuses = [call.status for child in await run.children() for call in await child.tool_calls()]
    assert statuses == ["succeeded"]
    assert [call.status for call in await run.tool_calls()] == ["denied", "succeeded", "succeeded"]


async def test_without_plan_mode_there_is_no_such_tool(runner: Runner) -> None:
    run = await runner.start({"tool_use": SUBMIT}, LAST_RESULT, allowed_tools=["submit_plan"])
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert (call.status, "There is no tool" in (call.output or "")) == ("failed", True)
