"""Commands with network in the loop: what the model reads, and what a crash means."""

from typing import Any

from domain.executions.steps import ToolCallStatus
from domain.tools.calls import ToolEffect
from tests.agent.in_memory.driver import Runner, use

NETWORK: dict[str, Any] = {"allowed_tools": ["bash"], "network": {"allow": ["api.example:443"]}}


async def test_the_description_names_the_hosts(runner: Runner) -> None:
    run = await runner.run_to_completion({"text": "done"}, **NETWORK)
    prefix = runner.executions.by_id[run.id].prefix
    assert prefix is not None
    [bash] = prefix.tools
    assert "It can connect only to api.example:443" in bash["description"]
    assert "There is no network" not in bash["description"]


async def test_a_command_with_network_is_external(runner: Runner) -> None:
    command = {"tool_use": use("bash", command="echo hello")}
    run = await runner.run_to_completion(command, {"text": "done"}, **NETWORK)
    [call] = await run.tool_calls()
    assert (call.status, call.effect) == (ToolCallStatus.SUCCEEDED, ToolEffect.EXTERNAL)
    run = await runner.run_to_completion(command, {"text": "done"}, allowed_tools=["bash"])
    assert (await run.tool_calls())[0].effect is ToolEffect.WORKSPACE
