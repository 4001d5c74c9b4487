"""Tools of MCP servers in the loop: pinned once, checked, and never called twice unasked."""

import asyncio
from typing import Any

from domain.mcp.tools import RemoteTool
from domain.tools.calls import ToolOutcome, ToolProgress
from tests.agent.in_memory.driver import Runner, script, use
from tests.agent.in_memory.remote_tools import ECHO, InMemoryServer

MCP: dict[str, Any] = {
    "sdk_options": {"mcp_servers": {"shop": {"url": "https://shop.example.com"}}}
}
ALLOWED: dict[str, Any] = {**MCP, "allowed_tools": ["mcp__shop__*"]}
ASKING: dict[str, Any] = {**MCP, "ask_tools": ["mcp__shop__*"]}
CALL = {"tool_use": use("mcp__shop__echo", text="hello")}
DONE = {"text": "done"}


async def test_a_tool_is_pinned_and_called(runner: Runner) -> None:
    run = await runner.run_to_completion(CALL, DONE, **ALLOWED)
    [call] = await run.tool_calls()
    assert (call.output, call.effect) == ("hello", "external")
    assert runner.remote.servers["shop"].calls == [{"text": "hello"}]
    pinned = [event.data for event in await run.events() if event.type == "tools.pinned"]
    assert pinned == [{"servers": {"shop": 1}, "warnings": []}]
    assert runner.remote.listings == 1
    progress = (1, "mcp__shop__echo", ToolProgress(1.0, 2.0, "half"))
    assert runner.running[run.id].live.progress == [progress]


async def test_an_execution_without_servers_lists_nothing(runner: Runner) -> None:
    await runner.run_to_completion(DONE)
    assert runner.remote.listings == 0


async def test_the_tools_stay_pinned_after_a_wait(runner: Runner) -> None:
    run = await runner.start(CALL, DONE, **ASKING)
    request = await run.wait_for_request()
    runner.remote.servers["shop"].tools.append(RemoteTool("other", "", {"type": "object"}))
    await run.answer(request, decision="approve")
    await run.wait_for_end()
    assert runner.remote.listings == 1
    assert runner.remote.servers["shop"].calls == [{"text": "hello"}]


async def test_a_changed_tool_is_not_called(runner: Runner) -> None:
    run = await runner.start(CALL, DONE, **ASKING)
    request = await run.wait_for_request()
    runner.remote.change("shop")
    await run.answer(request, decision="approve")
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert call.is_error
    assert runner.remote.servers["shop"].calls == []
    [data] = [event.data for event in await run.events() if event.type == "tool.changed"]
    assert data == {"tool_call_id": str(call.id), "name": "mcp__shop__echo"}


async def test_an_input_must_match_the_pinned_schema(runner: Runner) -> None:
    odd = {"tool_use": use("mcp__shop__echo", text=7)}
    run = await runner.run_to_completion(odd, DONE, **ALLOWED)
    [call] = await run.tool_calls()
    assert "does not fit mcp__shop__echo, field text" in str(call.output)
    assert runner.remote.servers["shop"].calls == []


async def test_the_rules_of_the_task_apply(runner: Runner) -> None:
    rules = {**ALLOWED, "disallowed_tools": ["mcp__shop__echo"]}
    run = await runner.run_to_completion(CALL, DONE, **rules)
    [call] = await run.tool_calls()
    assert call.status == "denied"
    assert runner.remote.servers["shop"].calls == []


async def test_a_server_without_offered_tools_is_a_warning(runner: Runner) -> None:
    run = await runner.run_to_completion(DONE, **MCP)
    [data] = [event.data for event in await run.events() if event.type == "tools.pinned"]
    assert data["servers"] == {}
    assert "Add 'mcp__shop__*' to allowed_tools" in data["warnings"][0]


async def test_a_server_that_is_down_at_the_start_fails_the_execution(runner: Runner) -> None:
    runner.remote.servers["shop"].is_down = True
    run = await runner.run_to_failure(DONE, code="tool_failed", **ALLOWED)
    row = await run.row()
    assert row.error_message == "MCP server 'shop': It can't be reached."


async def test_a_call_that_a_crash_interrupted_is_not_repeated_unasked(runner: Runner) -> None:
    started = asyncio.Event()

    async def never(_: dict[str, Any]) -> ToolOutcome:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    shop = runner.remote.servers["shop"] = InMemoryServer(answer=never)
    run = await runner.start(CALL, DONE, **ALLOWED)
    await started.wait()
    await runner.crash(run)
    request = await run.wait_for_request()
    assert len(shop.calls) == 1
    await run.answer(request, decision="skip")
    await run.wait_for_end()
    assert len(shop.calls) == 1


async def test_a_trusted_idempotent_tool_is_repeated_after_a_crash(runner: Runner) -> None:
    started = asyncio.Event()

    async def hang_once(_: dict[str, Any]) -> ToolOutcome:
        if not started.is_set():
            started.set()
            await asyncio.Event().wait()
        return ToolOutcome("again")

    tool = RemoteTool("echo", "", ECHO.input_schema, is_idempotent=True)
    shop = InMemoryServer(tools=[tool], is_trusted=True, answer=hang_once)
    runner.remote.servers["shop"] = shop
    run = await runner.start(CALL, DONE, **ALLOWED)
    await started.wait()
    await runner.crash(run)
    await run.wait_for_end()
    assert len(shop.calls) == 2
    [call] = await run.tool_calls()
    assert (call.output, call.effect) == ("again", "idempotent")


async def test_a_subtask_uses_the_servers_of_the_tools_that_it_has(runner: Runner) -> None:
    shop = use("delegate", title="shop", prompt=script(CALL, DONE))
    other = use("delegate", title="x", prompt=script(DONE), allowed_tools=["list_files"])
    tools = ["delegate", "list_files", "mcp__shop__*"]
    run = await runner.run_to_completion(
        {"tool_use": [shop, other]}, DONE, **MCP, allowed_tools=tools
    )
    with_server, without = [await child.row() for child in await run.children()]
    assert with_server.definition["sdk_options"]["mcp_servers"] == MCP["sdk_options"]["mcp_servers"]
    assert "mcp_servers" not in without.definition["sdk_options"]
    assert runner.remote.servers["shop"].calls == [{"text": "hello"}]
