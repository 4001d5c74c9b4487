"""Long executions and sessions: continue-as-new, evicted workflows, continued sessions."""

import json
from typing import Any

import pytest

from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from tests.engine.driver import Engine, script, use

ASKING = {"tool_use": use("ask_user", question="?")}
ECHO = {"text": "{last_tool_result}"}
TOOLS: dict[str, Any] = {"allowed_tools": ["ask_user", "delegate", "list_files"]}


async def test_many_waits_are_many_runs_of_one_execution(short_lived_engine: Engine) -> None:
    run = await short_lived_engine.start(*[ASKING] * 5, ECHO, **TOOLS)
    for number in range(5):
        await run.answer(await run.wait_for_request(), message=f"answer {number}")
    row = await run.wait_for_end()
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, "answer 4")
    assert [result["content"] for result in await run.results()] == [
        f"answer {number}" for number in range(5)
    ]
    assert (row.epoch, row.total_turns) == (0, 6)
    assert len(row.run_epochs) >= 3
    assert "execution.reset" not in await run.event_types()
    assert {call.status for call in await run.model_calls()} == {"succeeded"}
    history = json.loads(await run.history())["events"]
    started = history[0]["workflowExecutionStartedEventAttributes"]
    assert "continuedExecutionRunId" in started
    assert len(json.dumps(started["input"])) < 1000


async def test_segments_are_continued_too(short_lived_engine: Engine) -> None:
    run = await short_lived_engine.run_to_completion(
        {"tool_use": use("list_files"), "repeat": 10},
        {"text": "done"},
        **TOOLS,
        sdk_options={"segment_turns": 1},
    )
    row = await run.row()
    assert row.total_turns == 11
    assert len(row.run_epochs) >= 3


async def test_children_are_found_again_by_the_next_run(short_lived_engine: Engine) -> None:
    child = use("delegate", title="part", prompt=script(ASKING, {"text": "from the child"}))
    run = await short_lived_engine.start(
        ASKING, {"tool_use": [child, child]}, {"text": "done"}, **TOOLS
    )
    await run.answer(await run.wait_for_request(), message="continue")
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    for subtask in await run.children():
        await subtask.answer(await subtask.wait_for_request(), message="x")
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    assert [r["content"] for r in await run.results()][1:] == ["from the child"] * 2
    assert len(row.run_epochs) >= 2
    assert len(await run.children()) == 2


async def test_a_cancel_finds_the_newest_run(short_lived_engine: Engine) -> None:
    run = await short_lived_engine.start(*[ASKING] * 5, ECHO, **TOOLS)
    for _ in range(3):
        await run.answer(await run.wait_for_request(), message="x")
    await run.wait_for_request()
    await run.handle.cancel()
    assert (await run.wait_for_end()).status == ExecutionStatus.CANCELLED


async def test_a_session_is_continued(engine: Engine) -> None:
    first = await engine.run_to_completion({"text": "I am the first."})
    session_id = (await first.row()).session_id
    marker = f"second {new_id()}"
    second = await engine.run_to_completion(prompt_template=marker, session_id=session_id)
    # The model received the whole conversation.
    sent = next(body for body in reversed(engine.scripted.requests) if marker.encode() in body)
    roles = [message["role"] for message in json.loads(sent)["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert [m.seq for m in await second.messages()] == [3, 4]
    assert (await second.row()).session_id == session_id


async def test_calls_of_a_failed_execution_get_results(engine: Engine) -> None:
    first = await engine.run_to_failure(
        {"tool_use": [use("list_files"), use("ask_user", question="?")], "stop_reason": "refusal"},
        code=ErrorCode.MODEL_REFUSED,
        **TOOLS,
    )
    session_id = (await first.row()).session_id
    second = await engine.run_to_completion(
        {"text": "unused"}, prompt_template="continue", session_id=session_id, **TOOLS
    )
    results = await second.results()
    assert [r["is_error"] for r in results] == [True, True]
    assert "ended before the call was run" in results[0]["content"]


@pytest.mark.parametrize("end", ["cancel", "time"])
async def test_a_call_that_was_under_way_gets_a_result(engine: Engine, end: str) -> None:
    first = await engine.start(
        {"tool_use": use("bash", command="sleep 600")},
        allowed_tools=["bash"],
        sdk_options={"timeout_seconds": 5 if end == "time" else None},
    )
    await first.wait_for_tool_call()
    if end == "cancel":
        await first.cancel()
    await first.wait_for_end()
    session_id = (await first.row()).session_id
    second = await engine.run_to_completion(
        {"text": "unused"}, prompt_template="continue", session_id=session_id
    )
    assert len(await second.results()) == 1


async def test_a_busy_session_runs_executions_in_order(engine: Engine) -> None:
    first = await engine.start(ASKING, ECHO, **TOOLS)
    request = await first.wait_for_request()
    session_id = (await first.row()).session_id
    others = [
        await engine.start(prompt_template=f"number {n}", session_id=session_id) for n in range(3)
    ]
    for other in others:
        row = await other.row()
        assert (row.status, row.status_reason) == (ExecutionStatus.BLOCKED, "session_busy")
    await first.answer(request, message="x")
    rows = [await run.wait_for_end() for run in (first, *others)]
    assert {row.status for row in rows} == {ExecutionStatus.COMPLETED}
    ends = [row.completed_at for row in rows if row.completed_at]
    assert ends == sorted(ends)
    messages = [[m.seq for m in await run.messages()] for run in others]
    assert messages == [[5, 6], [7, 8], [9, 10]]
