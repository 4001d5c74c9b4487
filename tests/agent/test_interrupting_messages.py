"""Messages that interrupt: the work in progress stops, and the model reads them at once."""

import asyncio
from typing import Any

import pytest

from agent.inbox import NOT_COMPLETED
from domain.executions.signals import Inbox
from domain.executions.steps import Receipt, Step
from tests.agent.in_memory.driver import Runner, use
from tests.agent.in_memory.record import InMemoryRecord

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


@pytest.mark.parametrize("is_approved_first", [True, False])
async def test_a_call_that_is_approved_before_the_message_does_not_run(
    runner: Runner, *, is_approved_first: bool
) -> None:
    """The execution reads both at once; one that is approved after the message runs."""
    run = await runner.start({"tool_use": WRITE}, ANSWER, ask_tools=["write_file"])
    request = await run.wait_for_request()
    if is_approved_first:
        await run.answer(request, decision="approve")
    await run.say(STOP, interrupt=True)
    if not is_approved_first:
        await run.answer(request, decision="approve")
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert call.status == ("cancelled" if is_approved_first else "succeeded")
    assert ("note" in run.files) is not is_approved_first


@pytest.mark.parametrize("rule", ["allowed_tools", "disallowed_tools"])
async def test_a_model_call_that_was_not_sent_is_not_made(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """The message arrives while the step with the results and the next call is written."""
    write = InMemoryRecord.write

    async def write_and_interrupt(record: InMemoryRecord, step: Step) -> Receipt:
        receipt = await write(record, step)
        if (intent := step.call_intent) and (intent.turn, intent.try_number) == (2, 1):
            await run.say(STOP, interrupt=True)
        return receipt

    monkeypatch.setattr(InMemoryRecord, "write", write_and_interrupt)
    rules: dict[str, Any] = {rule: ["write_file"]}
    run = await runner.start({"tool_use": WRITE}, ANSWER, **rules)
    await run.wait_for_end()
    first, stopped, repeated = await run.model_calls()
    assert (first.status, repeated.status) == ("succeeded", "succeeded")
    assert (stopped.status, stopped.cost_usd) == ("cancelled", None)
    assert len(runner.model.requests) == 2
    assert STOP.encode() in runner.model.requests[-1]


async def test_tools_of_mcp_servers_are_listed_once(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that arrives before the first model call does not interrupt the listing."""
    poll, was_polled = InMemoryRecord.poll_signals, asyncio.Event()

    async def poll_signals(record: InMemoryRecord) -> Inbox:
        was_polled.set()
        return await poll(record)

    monkeypatch.setattr(InMemoryRecord, "poll_signals", poll_signals)
    runner.remote.may_list.clear()
    servers = {"mcp_servers": {"shop": {"url": "https://shop.example.com"}}}
    execution = runner.open(ANSWER, sdk_options=servers)
    run = runner.run(execution.id)
    await run.say(STOP, interrupt=True)
    runner.move(execution)
    await was_polled.wait()
    runner.remote.may_list.set()
    await run.wait_for_end()
    assert runner.remote.listings == 1
    [request] = runner.model.requests
    assert STOP.encode() in request
