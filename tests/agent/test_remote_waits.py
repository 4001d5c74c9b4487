"""Calls of MCP servers that are not answered at once: continued, and never made twice."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.mcp import remote_waits
from domain.mcp.remote_waits import RemoteQuestion, RemoteWait
from domain.tools.calls import ToolOutcome
from tests.agent.in_memory.driver import InMemoryRun, Runner, use
from tests.agent.test_remote_tools import ALLOWED, ASKING, CALL, DONE
from tests.waiting import eventually

SCHEMA = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
FINISHED = ToolOutcome("finished")


def wait(
    *, pause: float = 0.01, question: RemoteQuestion | None = None, **state: Any
) -> ToolOutcome:
    now = datetime.now(UTC)
    full = {"since": now.isoformat(), **(state or {"task": "task-1"})}
    return ToolOutcome("", wait=RemoteWait(full, now + timedelta(seconds=pause), question))


def ask(**state: Any) -> ToolOutcome:
    question = RemoteQuestion("a", "How many?", schema=SCHEMA)
    return wait(question=question, **(state or {"request_state": "s"}), asked="a")


async def test_a_short_task_is_polled_in_the_same_segment(runner: Runner) -> None:
    shop = runner.remote.servers["shop"]
    answers = [wait(), wait(), FINISHED]

    async def answer(_: dict[str, Any]) -> ToolOutcome:
        return answers.pop(0)

    shop.answer = shop.continue_ = answer
    run = await runner.run_to_completion(CALL, DONE, **ALLOWED)
    [call] = await run.tool_calls()
    assert call.output == "finished"
    assert (len(shop.calls), len(shop.states)) == (1, 2)
    assert runner.running[run.id].segments == 2  # with that of the end


async def test_a_long_task_releases_the_slot_and_is_polled_later(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_waits, "LONGEST_PAUSE_HELD", timedelta(0))
    shop = runner.remote.servers["shop"]

    async def start(_: dict[str, Any]) -> ToolOutcome:
        return wait(pause=0.5)

    async def finish(_: dict[str, Any]) -> ToolOutcome:
        return FINISHED

    shop.answer, shop.continue_ = start, finish
    run = await runner.start(CALL, DONE, **ALLOWED)
    await run.wait_until(lambda row: row.status_reason == "timer")
    [call] = await run.tool_calls()
    assert call.remote_state is not None
    assert call.remote_state["task"] == "task-1"
    await runner.crash(run)
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert (call.output, len(shop.calls), len(shop.states)) == ("finished", 1, 1)


async def test_a_crash_while_a_task_is_polled_does_not_call_again(runner: Runner) -> None:
    shop = runner.remote.servers["shop"]
    polled, can_end = asyncio.Event(), asyncio.Event()

    async def start(_: dict[str, Any]) -> ToolOutcome:
        return wait()

    async def poll(_: dict[str, Any]) -> ToolOutcome:
        polled.set()
        await can_end.wait()
        return FINISHED

    shop.answer, shop.continue_ = start, poll
    run = await runner.start(CALL, DONE, **ALLOWED)
    await polled.wait()
    await runner.crash(run)
    can_end.set()
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert (call.status, call.output) == ("succeeded", "finished")
    assert (len(shop.calls), len(shop.states)) == (1, 2)


@pytest.mark.parametrize("stop", [InMemoryRun.cancel, InMemoryRun.finish])
async def test_a_stop_reaches_the_task_of_the_server(
    runner: Runner, stop: Callable[[InMemoryRun], Awaitable[object]]
) -> None:
    shop = runner.remote.servers["shop"]

    async def start(_: dict[str, Any]) -> ToolOutcome:
        return wait(pause=3600)

    shop.answer = start
    run = await runner.start(CALL, DONE, **ALLOWED)
    await run.wait_until(lambda row: row.status_reason == "timer")
    await stop(run)
    await run.wait_for_end()
    assert shop.cancelled == ["task-1"]


async def test_a_person_answers_what_the_server_asks(runner: Runner) -> None:
    shop = runner.remote.servers["shop"]

    async def start(_: dict[str, Any]) -> ToolOutcome:
        return ask()

    async def finish(_: dict[str, Any]) -> ToolOutcome:
        return FINISHED

    shop.answer, shop.continue_ = start, finish
    run = await runner.start(CALL, DONE, **ALLOWED)
    request = await run.wait_for_request()
    assert (request.kind, request.title, request.schema) == ("form", "How many?", SCHEMA)
    await runner.crash(run)
    await run.answer(request, values={"count": 3})
    await run.wait_for_end()
    [state] = shop.states
    assert state["responses"] == {"a": {"action": "accept", "content": {"count": 3}}}
    assert state["request_state"] == "s"
    [call] = await run.tool_calls()
    assert (call.output, len(shop.calls)) == ("finished", 1)


async def test_a_refusal_and_an_expiry_are_responses_too(runner: Runner) -> None:
    shop = runner.remote.servers["shop"]

    async def start(_: dict[str, Any]) -> ToolOutcome:
        return ask()

    async def finish(_: dict[str, Any]) -> ToolOutcome:
        return FINISHED

    shop.answer, shop.continue_ = start, finish
    run = await runner.start(CALL, DONE, **ALLOWED)
    await run.answer(await run.wait_for_request(), decision="deny")
    await run.wait_for_end()
    expiring = {"mode": "wait", "due_seconds": 0.01, "on_expiry": "deny"}
    await runner.run_to_completion(CALL, DONE, **ALLOWED, human_input_policy=expiring)
    denying = {"mode": "deny"}
    await runner.run_to_completion(CALL, DONE, **ALLOWED, human_input_policy=denying)
    actions = [state["responses"]["a"]["action"] for state in shop.states]
    assert actions == ["decline", "cancel", "decline"]


async def test_a_form_that_cannot_be_evaluated_is_dismissed(runner: Runner) -> None:
    shop = runner.remote.servers["shop"]
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}

    async def start(_: dict[str, Any]) -> ToolOutcome:
        question = RemoteQuestion("a", "Which?", schema=schema)
        return wait(question=question, task="t", asked="a")

    async def finish(_: dict[str, Any]) -> ToolOutcome:
        return FINISHED

    shop.answer, shop.continue_ = start, finish
    run = await runner.run_to_completion(CALL, DONE, **ALLOWED)
    [state] = shop.states
    assert state["responses"] == {"a": {"action": "cancel"}}
    [call] = await run.tool_calls()
    assert call.output is not None
    assert "form has a schema that can't be used" in call.output
    assert call.output.endswith("\nfinished")
    assert await run.requests() == []


async def test_an_approved_call_waits_for_the_task_of_the_one_before(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_waits, "LONGEST_PAUSE_HELD", timedelta(0))
    shop = runner.remote.servers["shop"]
    can_end = asyncio.Event()

    async def start(tool_input: dict[str, Any]) -> ToolOutcome:
        return wait() if tool_input["text"] == "first" else FINISHED

    async def poll(_: dict[str, Any]) -> ToolOutcome:
        return FINISHED if can_end.is_set() else wait(pause=0.2)

    shop.answer, shop.continue_ = start, poll
    calls = [use("mcp__shop__echo", text=text) for text in ("first", "second")]
    run = await runner.start({"tool_use": calls}, DONE, **ASKING)
    for _ in calls:
        await run.answer(await run.wait_for_request(), decision="approve")

    async def is_waiting() -> bool:
        return bool(shop.states)

    await eventually(is_waiting, what="a poll of the first call's task")
    assert [call["text"] for call in shop.calls] == ["first"]
    can_end.set()
    await run.wait_for_end()
    assert [call["text"] for call in shop.calls] == ["first", "second"]
