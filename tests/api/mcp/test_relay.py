import asyncio
import json
import os
from typing import Any

import pytest
from fastapi import FastAPI, Response
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import TextResourceContents

from api.main import create_app
from cli.connection.endpoint import Endpoint, UnreachableError
from cli.mcp.relay import Relay, read_lines
from tests.api.conftest import serve_app
from tests.api.mcp.agents import ERAS, MODERN, call
from tests.api.mcp.test_transport import META, token_of
from tests.api.world import World, make_task
from tests.stack import PERDURE, environment


@pytest.mark.parametrize("mode", ERAS)
async def test_the_reference_client_connects_over_stdio(world: World, mode: str) -> None:
    async with world.client("alice") as http:
        task = await make_task(http)
    process = StdioServerParameters(
        command=str(PERDURE),
        args=["mcp", "--groups", "all"],
        env=environment(
            world.gateway.settings.home, PERDURE_API_URL=world.url, PERDURE_TOKEN=token_of()
        ),
    )
    async with Client(stdio_client(process), mode="auto" if mode == MODERN else mode) as client:
        assert (client.protocol_version == MODERN) == (mode == MODERN)
        listed = await call(client, "list_tasks", q=task["name"])
        assert [one["task_id"] for one in listed["tasks"]] == [task["id"]]
        started = await call(client, "execute_task", task=task["name"], wait=False)
        assert started["status"] == "pending"
        found = await client.read_resource(f"perdure://executions/{started['execution_id']}")
    content = found.contents[0]
    assert isinstance(content, TextResourceContents)
    assert json.loads(content.text)["status"] == "pending"


async def start_relay(
    world: World, *lines: str, output: int = asyncio.subprocess.PIPE
) -> asyncio.subprocess.Process:
    """Start `perdure mcp`, write these lines and close its standard input."""
    process = await asyncio.create_subprocess_exec(
        str(PERDURE),
        "mcp",
        stdin=asyncio.subprocess.PIPE,
        stdout=output,
        env=environment(
            world.gateway.settings.home, PERDURE_API_URL=world.url, PERDURE_TOKEN=token_of()
        ),
    )
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    process.stdin.close()
    return process


async def test_what_was_asked_is_answered_after_the_end_of_the_input(world: World) -> None:
    listening = {"notifications": {"toolsListChanged": True}}
    asked = line("server/discover", 1), line("subscriptions/listen", 2, **listening)
    process = await start_relay(world, *asked)
    output, _ = await process.communicate()
    messages = [json.loads(text) for text in output.splitlines()]
    # The acknowledgement of the subscription is a notification: it has no ID.
    answers = {message["id"]: message for message in messages if "id" in message}
    assert answers[1]["result"]["supportedVersions"] == [MODERN]
    assert process.returncode == 0


async def test_the_relay_ends_when_no_one_reads_its_answers(world: World) -> None:
    async with world.client("alice") as http:
        task = await make_task(http)
        started = await http.post(f"/api/v1/tasks/{task['id']}/execute", json={})
    arguments = {"execution_id": started.json()["id"], "timeout_seconds": 55}
    watch = line("tools/call", 1, name="watch_execution", arguments=arguments)
    reader, writer = os.pipe()
    process = await start_relay(world, watch, output=writer)
    os.close(writer)
    os.close(reader)
    async with asyncio.timeout(40):
        assert await process.wait() == 0


class Answers:
    """What a relay writes to its client."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def write(self, message: dict[str, Any]) -> None:
        self._queue.put_nowait(message)

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self._queue.get(), 60)


def line(method: str, request_id: int | str | None, **params: Any) -> str:
    content = {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": META}}
    return json.dumps(content if request_id is None else {**content, "id": request_id})


async def test_requests_wait_for_a_gateway_that_restarts(world: World) -> None:
    settings, answers = world.gateway.settings, Answers()
    address: str | None = None

    def find() -> Endpoint:
        if address is None:
            raise UnreachableError("No Perdure runs here.")
        return Endpoint(address, token_of())

    relay = Relay(find, answers.write)
    try:
        relay.accept(line("server/discover", 1))
        async with serve_app(create_app(settings)) as address:
            assert (await answers.next())["result"]["supportedVersions"] == [MODERN]
            listening = {"notifications": {"toolsListChanged": True}}
            relay.accept(line("subscriptions/listen", "listen", **listening))
            acknowledged = await answers.next()
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        relay.accept(line("tools/list", 2))
        async with serve_app(create_app(settings)) as address:
            # The stream is open again without a second acknowledgement.
            assert (await answers.next())["id"] == 2
            relay.accept(line("notifications/cancelled", None, requestId="listen"))
    finally:
        await relay.close()


async def test_a_call_that_may_have_acted_is_not_repeated(world: World) -> None:
    answers, sent = Answers(), asyncio.Event()

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        sent.set()
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    relay = Relay(lambda: Endpoint(url, "token"), answers.write)
    arguments = {"task": "greet"}
    relay.accept(line("tools/call", 1, name="execute_task", arguments=arguments))
    error = (await answers.next())["error"]
    assert "may have taken effect" in error["message"]
    assert sent.is_set()
    url = world.url
    repeatable = {**arguments, "idempotency_key": "a"}
    relay.accept(line("tools/call", 2, name="execute_task", arguments=repeatable))
    assert (await answers.next())["id"] == 2
    server.close()
    await relay.close()


INVALID_LINES = [
    ("{", -32700, None),
    ("[" * 100_000, -32700, None),
    ("[]", -32600, None),
    ('[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]', -32600, None),
    ('"tools/list"', -32600, None),
    ('{"id": {"a": 1}, "method": "tools/list"}', -32600, None),
    ('{"id": true, "method": "tools/list"}', -32600, None),
    ('{"id": 5, "method": ["tools/list"]}', -32600, 5),
    ('{"id": 5, "method": "tools/call", "params": [1]}', -32600, 5),
    ('{"method": "notifications/cancelled", "params": [1]}', -32600, None),
    ('{"id": 5}', -32600, 5),
    (json.dumps({"id": 5, "method": "tools/list", "params": {"_meta": "none"}}), -32600, 5),
]
"""Lines of a client, the code of the error, and the id of the request in it."""


async def test_the_relay_refuses_what_is_no_message_and_continues(world: World) -> None:
    answers = Answers()
    relay = Relay(lambda: Endpoint(world.url, token_of()), answers.write)
    for text, code, request_id in INVALID_LINES:
        relay.accept(text)
        answer = await answers.next()
        assert (answer["error"]["code"], answer["id"]) == (code, request_id), text
    relay.accept('{"method": "notifications/cancelled", "params": {"requestId": [1]}}')
    relay.accept(line("tools/list", 6))
    assert (await answers.next())["id"] == 6
    await relay.close()


async def test_the_relay_says_that_its_token_is_not_valid(world: World) -> None:
    answers = Answers()
    relay = Relay(lambda: Endpoint(world.url, "no token"), answers.write)
    relay.accept(line("tools/list", 1))
    refused = await answers.next()
    assert refused["id"] == 1
    assert "neither a token nor an API key" in refused["error"]["message"]
    await relay.close()


async def test_a_line_that_is_too_long_is_left_out() -> None:
    reader = asyncio.StreamReader(limit=10)
    for part in (b"first\n", b"a" * 8, b"b" * 30, b"c\nafter\n", b"d" * 11 + b"\n", b"last"):
        reader.feed_data(part)
    reader.feed_eof()
    lines = [line async for line in read_lines(reader)]
    assert lines == [b"first\n", None, b"after\n", None, b"last"]


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "did not answer as Perdure does"), (502, "may have taken effect")]
)
async def test_the_page_of_a_proxy_is_an_error(status: int, reason: str) -> None:
    answers, proxy = Answers(), FastAPI()
    proxy.add_api_route("/mcp", lambda: Response("<html>", status), methods=["POST"])
    async with serve_app(proxy) as url:
        relay = Relay(lambda: Endpoint(url, "token"), answers.write)
        relay.accept(line("tools/call", 1, name="execute_task", arguments={"task": "greet"}))
        refused = await answers.next()
        await relay.close()
    assert refused["id"] == 1
    assert reason in refused["error"]["message"]
