"""Programs as MCP servers that take too much, say too much, say nothing, or end."""

import os
import sys
from functools import partial

import psutil
import pytest

from domain.errors import McpServerError
from domain.mcp.servers import ResolvedServer
from mcp_client.connections import open_connection
from tests.tools.mcp.conftest import Attempt, Worker
from tests.waiting import eventually
from tools.limits import MIB, ToolLimits
from tools.mcp import servers, stdio

SOURCE = """
import json, os, sys
MARKER = "faulty-program"
TOOLS = [{"name": n, "inputSchema": {"type": "object"}} for n in ("work", "fill", "flood", "end")]
RESULTS = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "faulty", "version": "1"},
    },
    "tools/list": {"tools": TOOLS},
    "tools/call": {"content": [{"type": "text", "text": "worked"}]},
}
NOTICE = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}})
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    name = asked.get("params", {}).get("name")
    if name == "fill":
        filled = b"x" * (400 * 1024 * 1024)
        sys.stdin.readline()
    while name == "flood":
        print(NOTICE)
    result = RESULTS.get(asked["method"])
    found = {"result": result} if result else {"error": {"code": -32601, "message": "unknown"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **found}), flush=True)
    if name == "end":
        os._exit(0)
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LIST_DELAYS", ())


@pytest.fixture
def limits() -> ToolLimits:
    return ToolLimits(command_memory_bytes=150 * MIB)


def put(worker: Worker, *argv: str) -> None:
    command, *args = argv
    worker.servers["faulty"] = ResolvedServer("faulty", command=command, args=args)


def put_source(worker: Worker) -> None:
    put(worker, sys.executable, "-I", "-c", SOURCE)


async def has_ended(attempt: Attempt) -> None:
    """Wait until no program of the attempt is left."""

    async def is_gone() -> bool:
        started = {identity.process_group for identity in attempt.started if identity}
        return not any(psutil.pid_exists(leader) for leader in started)

    await eventually(is_gone, what="the end of the program")


async def test_memory_is_limited_as_for_commands(worker: Worker) -> None:
    put_source(worker)
    async with worker.attempt() as attempt:
        await attempt.pin()
        outcome = await attempt.call("mcp__faulty__fill")
        assert outcome.is_error
        assert "its processes use more than 150 MiB of memory" in outcome.text
        assert "may have taken effect" in outcome.text
        await has_ended(attempt)
        assert (await attempt.call("mcp__faulty__work")).text == "worked"


async def test_a_flood_of_messages_ends_the_call(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "MAX_NOTICES", 1000)
    put_source(worker)
    async with worker.attempt() as attempt:
        await attempt.pin()
        outcome = await attempt.call("mcp__faulty__flood")
        assert outcome.is_error
        assert "more than 1,000 lines that are no answers" in outcome.text
        await has_ended(attempt)


@pytest.mark.parametrize(
    ("script", "reason"),
    [("yes", "more than 100,000 lines"), ("yes | tr -d '\\n'", "more than 16 MiB")],
)
async def test_a_flood_of_text_ends_the_start(worker: Worker, script: str, reason: str) -> None:
    put(worker, "/bin/sh", "-c", script)
    async with worker.attempt() as attempt:
        with pytest.raises(McpServerError, match=reason):
            await attempt.pin()


async def test_a_program_that_never_answers_is_given_up(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "open_connection", partial(open_connection, seconds=0.5))
    duration = f"7{int.from_bytes(os.urandom(5))}"  # of no other process on this machine
    put(worker, "/bin/sh", "-c", f"echo still starting >&2; exec sleep {duration}")
    async with worker.attempt() as attempt:
        with pytest.raises(McpServerError) as caught:
            await attempt.pin()
    assert "did not answer within 0.5 s" in caught.value.detail
    assert not any(
        process.info["cmdline"] == ["sleep", duration]
        for process in psutil.process_iter(["cmdline"])
    )


async def test_a_program_that_ends_between_calls_is_started_again(worker: Worker) -> None:
    put_source(worker)
    async with worker.attempt() as attempt:
        await attempt.pin()
        assert (await attempt.call("mcp__faulty__end")).text == "worked"
        await has_ended(attempt)
        assert (await attempt.call("mcp__faulty__work")).text == "worked"
        first, second = attempt.started
        assert first != second
