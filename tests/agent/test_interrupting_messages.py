"""Messages that interrupt: the work in progress stops, and the model reads them at once."""

from typing import Any

from agent.inbox import NOT_COMPLETED
from tests.agent.in_memory.driver import Runner, use

STOP = "Stop. Only look at the tests."
ENDLESS = use("bash", command="until [ -e never ]; do sleep 0.1; done")
WRITE = use("write_file", path="note", content="one")
ANSWER = {"text": "I look at the tests."}
TOOLS: dict[str, Any] = {"allowed_tools": ["bash"], "ask_tools": ["write_file"]}


async def test_a_model_call_is_stopped_and_repeated_with_the_message(runner: Runner) -> None:
    run = await runner.start({"text": "A long answer.", "gate": "slow"})
    first = await run.wait_for_model_call()
    await run.say(STOP, interrupt=True)
    await run.wait_until(lambda row: len(row.model_calls) == 2)
    runner.model.open_gate("slow")
    await run.wait_for_end()
    assert [call.status for call in await run.model_calls()] == ["cancelled", "succeeded"]
    assert (await run.row()).cost_usd > (first.estimate_usd or 0)
    assert STOP.encode() in runner.model.requests[-1]


async def test_a_running_tool_is_stopped(runner: Runner) -> None:
    run = await runner.start({"tool_use": ENDLESS}, ANSWER, **TOOLS)
    await run.wait_for_tool_call()
    await run.say("And the docs.")
    await run.say(STOP, interrupt=True)
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert (call.status, call.is_error) == ("cancelled", True)
    assert "may have run in part" in (call.output or "")
    assert await run.text() == ANSWER["text"]
    _, (result, *texts) = (await run.blocks())[2]
    assert result["type"] == "tool_result"
    assert [block["text"] for block in texts] == ["And the docs.", STOP]


async def test_what_waits_for_a_person_keeps_waiting(runner: Runner) -> None:
    """The message interrupts once: the call that is approved later runs to its end."""
    run = await runner.start({"tool_use": [ENDLESS, WRITE]}, ANSWER, **TOOLS)
    await run.wait_for_tool_call()
    await run.say(STOP, interrupt=True)
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    assert [call.status for call in await run.tool_calls()] == ["cancelled", "succeeded"]
    assert STOP in str(await run.blocks())


async def test_approved_calls_that_have_not_started_do_not_run(runner: Runner) -> None:
    asked: dict[str, Any] = {"ask_tools": ["bash", "write_file"]}
    run = await runner.start({"tool_use": [ENDLESS, WRITE]}, ANSWER, **asked)
    await run.wait_until(lambda row: len(row.requests) == 2)
    for request in await run.requests():
        await run.answer(request, decision="approve")
    await run.wait_for_tool_call()
    await run.say(STOP, interrupt=True)
    await run.wait_for_end()
    stopped, skipped = await run.tool_calls()
    assert (stopped.status, skipped.status) == ("cancelled", "cancelled")
    assert skipped.output == NOT_COMPLETED
    assert "note" not in run.files
