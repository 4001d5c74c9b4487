"""Web tools in the loop: what is offered, and what a crash means for a request."""

import json
from typing import Any

import pytest

from domain.executions.steps import ToolCallStatus
from domain.tools.calls import ToolEffect
from domain.web.connections import NO_CONNECTIONS, Connection
from tests.agent.in_memory.driver import InMemoryRun, Runner, use
from tests.waiting import eventually

URL = "https://api.example/orders"
NETWORK: dict[str, Any] = {"allowed_tools": ["http_request"], "network": {"allow": ["api.example"]}}
LAST_RESULT = {"text": "{last_tool_result}"}


async def interrupt(runner: Runner, **request: Any) -> InMemoryRun:
    """An execution whose worker died during a request."""
    call = {"tool_use": use("http_request", url=URL, **request)}
    run = await runner.start(call, LAST_RESULT, **NETWORK)
    await wait_until_sent(run)
    await runner.crash(run)
    return run


async def wait_until_sent(run: InMemoryRun) -> None:
    async def is_sent() -> bool:
        return "log" in run.files

    await eventually(is_sent, what="the request")


@pytest.mark.parametrize(
    ("request_", "effect"),
    [
        ({}, ToolEffect.READ_ONLY),
        ({"method": "POST", "idempotency_key": "k"}, ToolEffect.IDEMPOTENT),
        ({"method": "PUT", "headers": {"Idempotency-Key": "k"}}, ToolEffect.IDEMPOTENT),
    ],
)
async def test_a_request_without_another_effect_is_sent_again(
    runner: Runner, request_: dict[str, Any], effect: ToolEffect
) -> None:
    run = await interrupt(runner, **request_)
    run.files["go"] = ""
    await run.wait_for_end()
    assert run.files["log"] == f"{request_.get('method', 'GET')}\n" * 2
    [call] = await run.tool_calls()
    assert (call.status, call.effect) == (ToolCallStatus.SUCCEEDED, effect)


@pytest.mark.parametrize(
    "request_", [{"method": "POST"}, {"method": "PUT", "idempotency_key": "k"}]
)
async def test_the_connections_of_an_interrupted_request_are_recorded(
    runner: Runner, request_: dict[str, Any]
) -> None:
    runner.tools.left = NO_CONNECTIONS.with_connections([Connection("api.example", 443, "allowed")])
    run = await interrupt(runner, **request_)
    run.files["go"] = ""
    if "idempotency_key" not in request_:
        await run.answer(await run.wait_for_request(), decision="not_happened")
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert [c.host for c in call.connections.connections] == ["api.example"]
    assert not runner.tools.left


async def test_a_person_decides_on_a_request_that_may_have_had_an_effect(runner: Runner) -> None:
    run = await interrupt(runner, method="POST")
    request = await run.wait_for_request()
    assert request.kind == "effect_check"
    await run.answer(request, decision="happened", message="Order 7 exists.")
    await run.wait_for_end()
    assert run.files["log"] == "POST\n"
    assert await run.text() == "Order 7 exists."


async def test_the_effect_is_that_of_the_edited_request(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": use("http_request", url=URL)},
        LAST_RESULT,
        **{**NETWORK, "allowed_tools": [], "ask_tools": ["http_request"]},
    )
    edited = {"url": URL, "method": "DELETE"}
    await run.answer(await run.wait_for_request(), decision="edit", input=edited)
    await wait_until_sent(run)
    await runner.crash(run)
    check = await run.wait_for_request()
    assert check.kind == "effect_check"
    assert json.loads(check.tool_input or "") == edited
    await run.answer(check, decision="skip")
    await run.wait_for_end()
    assert run.files["log"] == "DELETE\n"
    events = [event.type for event in await run.events()]
    assert events.count("tool.started") == 1


async def test_without_a_network_the_call_says_what_is_missing(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": use("http_request", url=URL)}, LAST_RESULT, allowed_tools=["http_request"]
    )
    await run.wait_for_end()
    assert "this execution has no network" in await run.text()
    assert "network" in await run.text()
    assert "log" not in run.files
