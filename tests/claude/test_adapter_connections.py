"""Connections of the adapter: silence, cancelled calls, and one connection for many calls."""

import asyncio
from datetime import timedelta
from typing import Any

import psutil
import pytest

from claude.adapter import ClaudeModel
from claude.scripted import ScriptedModelServer
from domain.errors import ModelFailureKind
from tests.claude.conftest import Connect
from tests.claude.conversations import request, scripted_request
from tests.claude.test_adapter import _failure
from tests.waiting import WITHIN_SECONDS, eventually


async def test_silence_ends_a_call(scripted: ScriptedModelServer, connect: Connect) -> None:
    model = connect(
        base_url=scripted.base_url, api_key="any", read_timeout=timedelta(milliseconds=100)
    )
    late_head = await _failure(model, scripted_request({"text": "x", "delay_ms": 60_000}))
    late_body = await _failure(model, scripted_request({"text": "x", "chunk_delay_ms": 60_000}))
    for failure in (late_head, late_body):
        assert (failure.kind, failure.retryable) == (ModelFailureKind.CONNECTION, True)
        assert "Timeout" in failure.detail


async def test_a_slow_stream_is_no_silence(scripted: ScriptedModelServer, connect: Connect) -> None:
    model = connect(base_url=scripted.base_url, api_key="any", read_timeout=timedelta(seconds=3))
    asked = scripted_request({"text": "x" * 48 * 40, "chunk_delay_ms": 100})  # 4 s in all
    assert len((await model.call(asked)).content[0]["text"]) == 48 * 40


@pytest.mark.parametrize("turn", [{"delay_ms": 600_000}, {"chunk_delay_ms": 600_000}])
async def test_cancelling_closes_the_connection(
    turn: dict[str, Any], model: ClaudeModel, scripted: ScriptedModelServer
) -> None:
    before = len(scripted.calls)
    task = asyncio.create_task(model.call(scripted_request({"text": "x", **turn})))

    async def is_asked() -> bool:
        return len(scripted.calls) > before and scripted.calls[before].status == 200

    async def is_gone() -> bool:
        return scripted.calls[before].outcome == "disconnected"

    await eventually(is_asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(is_gone)


async def test_cancelling_an_upload_that_no_server_reads_returns(connect: Connect) -> None:
    connected: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def never_read(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connected.put(writer)

    server = await asyncio.start_server(never_read, "127.0.0.1", 0, limit=1)
    port = server.sockets[0].getsockname()[1]
    model = connect(base_url=f"http://127.0.0.1:{port}", api_key="any")
    large = {"role": "user", "content": [{"type": "text", "text": "x" * 20_000_000}]}
    task = asyncio.create_task(model.call(request(large)))
    writer = await connected.get()
    task.cancel()
    async with asyncio.timeout(WITHIN_SECONDS):
        with pytest.raises(asyncio.CancelledError):
            await task
    writer.transport.abort()
    server.close()
    await server.wait_closed()


async def test_a_connection_is_used_again(connect: Connect) -> None:
    def local_ports() -> set[int]:
        connections = psutil.Process().net_connections("tcp")
        return {
            c.laddr.port
            for c in connections
            if c.status == psutil.CONN_ESTABLISHED and c.raddr.port == port
        }

    with ScriptedModelServer() as server:
        port = int(server.base_url.rpartition(":")[2])
        model = connect(base_url=server.base_url, api_key="any")
        await model.call(scripted_request({"text": "x"}))
        first = local_ports()
        await model.call(scripted_request({"text": "x"}))
        assert local_ports() == first
        assert len(first) == 1


async def test_a_thousand_calls_run_at_once_and_are_cancelled_at_once(connect: Connect) -> None:
    with ScriptedModelServer() as server:
        model = connect(base_url=server.base_url, api_key="any")
        asked = scripted_request({"text": "x", "delay_ms": 600_000})
        calls: list[asyncio.Task[Any]] = []

        def count(outcome: str) -> int:
            return sum(call.outcome == outcome for call in server.calls)

        async def all_wait() -> bool:
            return count("open") == len(calls)

        async def all_are_gone() -> bool:
            return count("disconnected") == len(calls)

        while len(calls) < 1_000:  # a few at a time: a connection has some seconds to be made
            calls += [asyncio.create_task(model.call(asked)) for _ in range(50)]
            await eventually(all_wait)
        for call in calls:
            call.cancel()
        await eventually(all_are_gone)
        assert all(isinstance(e, asyncio.CancelledError) for e in await _outcomes(calls))


async def _outcomes(calls: list[asyncio.Task[Any]]) -> list[BaseException | Any]:
    return await asyncio.gather(*calls, return_exceptions=True)
