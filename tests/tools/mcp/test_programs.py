"""Programs by other authors as MCP servers, in the sandbox."""

import asyncio
import sys

import pytest

from domain.errors import McpServerError
from domain.mcp.servers import ResolvedServer
from tests.node import node_tool
from tests.tools.mcp.conftest import Attempt, Worker
from tools.mcp import servers
from tools.processes import read_started_ticks


def program(key: str, *argv: str) -> ResolvedServer:
    command, *args = argv
    return ResolvedServer(key, command=command, args=args)


def npm(key: str, *args: str) -> ResolvedServer:
    return program(key, *node_tool(f"@modelcontextprotocol/server-{key}"), *args)


async def test_a_file_server_works_in_the_workspace(worker: Worker) -> None:
    worker.servers["filesystem"] = npm("filesystem", "/workspace")
    async with worker.attempt() as attempt:
        assert "mcp__filesystem__write_file" in await attempt.pin()
        await attempt.call("mcp__filesystem__write_file", path="note", content="hello")
        outside = await attempt.call("mcp__filesystem__read_file", path="/etc/hostname")
        assert outside.is_error
        assert (worker.workspace(attempt) / "note").read_text() == "hello"
        [process, again] = attempt.started
        assert process is not None
        assert process == again


async def test_programs_end_with_the_attempt_and_are_never_shared(worker: Worker) -> None:
    worker.servers["memory"] = npm("memory")
    entity = {"name": "Ada", "entityType": "person", "observations": []}
    async with worker.attempt() as first, worker.attempt() as second:
        for attempt in (first, second):
            await attempt.pin()
        await first.call("mcp__memory__create_entities", entities=[entity])
        seen = await second.call("mcp__memory__read_graph")
        assert "Ada" not in seen.text
        [process] = first.started
        assert process is not None
    assert await _has_ended(process.process_group)


async def test_a_python_server_works_without_network(worker: Worker) -> None:
    argv = [sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC"]
    worker.servers["time"] = program("time", *argv)
    async with worker.attempt() as attempt:
        await attempt.pin()
        outcome = await attempt.call("mcp__time__get_current_time", timezone="UTC")
        assert '"timezone": "UTC"' in outcome.text
        refused = await attempt.call("mcp__time__get_current_time", timezone="Nowhere/None")
        assert refused.is_error


async def test_an_error_shows_what_the_program_printed(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "LIST_DELAYS", (0.01,))
    worker.servers["broken"] = program("broken", "/bin/sh", "-c", "echo no licence >&2; exit 3")
    async with worker.attempt() as attempt:
        with pytest.raises(McpServerError) as caught:
            await attempt.pin()
    assert caught.value.detail == (
        "MCP server 'broken': It ended with exit code 3. It printed:\nno licence"
    )


async def test_a_cancelled_call_ends_the_program_at_once(worker: Worker) -> None:
    worker.servers["everything"] = npm("everything")
    async with worker.attempt() as attempt:
        await attempt.pin()
        running = asyncio.create_task(
            attempt.call("mcp__everything__trigger-long-running-operation", duration=600, steps=600)
        )
        process = await _start_of(attempt)
        running.cancel()
        await asyncio.wait([running])
    assert await _has_ended(process)


async def _start_of(attempt: Attempt) -> int:
    while not attempt.started:  # noqa: ASYNC110 - the program sets no event
        await asyncio.sleep(0.01)
    [process] = attempt.started
    assert process is not None
    return process.process_group


async def _has_ended(process_group: int) -> bool:

    return read_started_ticks(process_group) is None
