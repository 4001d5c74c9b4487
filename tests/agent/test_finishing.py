"""A person asks an execution to answer now with what it has."""

import json
from typing import Any

from tests.agent.in_memory.driver import Runner, script, use

QUESTION = use("ask_user", question="Which colour?")
WRITE = use("write_file", path="note", content="one")
ASKING: dict[str, Any] = {"allowed_tools": ["ask_user", "delegate"], "ask_tools": ["write_file"]}
ANSWER = {"text": "This is what I have."}


async def test_what_waits_for_people_does_not_run(runner: Runner) -> None:
    run = await runner.start({"tool_use": [QUESTION, WRITE]}, ANSWER, **ASKING)
    await run.wait_until(lambda row: len(row.requests) == 2)
    await run.finish()
    await run.wait_for_end()
    assert await run.text() == ANSWER["text"]
    assert [request.status for request in await run.requests()] == ["cancelled", "cancelled"]
    assert [call.status for call in await run.tool_calls()] == ["cancelled", "cancelled"]
    assert all("finish now" in str(result["content"]) for result in await run.results())
    assert "note" not in run.files


async def test_the_model_gets_no_more_tools(runner: Runner) -> None:
    """After two refusals, its last text is the result."""
    asks = {"text": "I would like to write.", "tool_use": WRITE}
    run = await runner.start({"tool_use": QUESTION}, asks, asks, ANSWER, **ASKING)
    await run.wait_for_request()
    await run.finish()
    await run.wait_for_end()
    assert await run.text() == asks["text"]
    assert [call.status for call in await run.tool_calls()] == ["cancelled", "denied", "denied"]


async def test_subtasks_are_not_waited_for(runner: Runner) -> None:
    child = use("delegate", title="part", prompt=script({"tool_use": QUESTION}, ANSWER))
    run = await runner.start({"tool_use": child}, ANSWER, **ASKING)
    await run.wait_until(lambda row: row.status == "waiting_for_subtask")
    await run.finish()
    await run.wait_for_end()
    assert await run.text() == ANSWER["text"]
    [call] = await run.tool_calls()
    assert call.status == "cancelled"


async def test_the_results_of_subtasks_that_have_ended_are_kept(runner: Runner) -> None:
    parts = [
        {"title": "one", "prompt": script({"text": "Found it."})},
        {"title": "two", "prompt": script({"tool_use": QUESTION}, ANSWER)},
    ]
    many: dict[str, Any] = {"allowed_tools": ["ask_user", "delegate_many"]}
    run = await runner.start(
        {"tool_use": use("delegate_many", subtasks=parts)}, {"text": "{last_tool_result}"}, **many
    )
    await run.wait_until(lambda row: row.status == "waiting_for_subtask")
    [first, second] = await run.children()
    await first.wait_for_end()
    await second.wait_for_request()
    await run.finish()
    await run.wait_for_end()
    listed = json.loads((await run.text()).partition("\n")[0])
    assert listed["summary"] == "1 of 2 subtasks completed."
    assert listed["subtasks"][0]["result"] == "Found it."
    assert "before it ended" in listed["subtasks"][1]["error"]
