"""MCP servers over streamable HTTP, of both eras of the protocol."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from domain.errors import McpServerError
from domain.ids import new_id
from domain.mcp.servers import ResolvedServer
from domain.tools.calls import ToolProgress
from runtime.outbound import Outbound
from tests.api.conftest import serve_app
from tests.tools.mcp.conftest import Worker
from tests.tools.mcp.shops import TOKEN, Shop
from tools.mcp import servers


@pytest.fixture
async def shop(worker: Worker) -> AsyncIterator[Shop]:
    shop = Shop()
    async with serve_app(shop.app) as url:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        worker.servers["shop"] = ResolvedServer("shop", url=f"{url}/mcp", headers=headers)
        yield shop
        await worker.mcp.close()


async def test_a_tool_is_called_with_the_headers_of_the_server(worker: Worker, shop: Shop) -> None:
    async with worker.attempt() as attempt:
        assert await attempt.pin() == ["mcp__shop__order", "mcp__shop__repeat"]
        outcome = await attempt.call("mcp__shop__order", item="tea")
    assert (outcome.text, outcome.is_error) == ("Ordered tea.", False)
    assert shop.orders == ["tea"]
    assert attempt.started == [None]
    assert set(shop.authorization) == {f"Bearer {TOKEN}"}
    assert attempt.progress == [ToolProgress(1, 4, "Packing tea")]


async def test_a_connection_is_used_again_by_the_same_user_only(worker: Worker, shop: Shop) -> None:
    user_id = new_id()
    async with worker.attempt(user_id=user_id) as attempt:
        await attempt.pin()
    requests = len(shop.authorization)
    async with worker.attempt(user_id=user_id) as again:
        again.tools = attempt.tools
        await again.call("mcp__shop__order", item="tea")
    assert len(shop.authorization) == requests + 1
    async with worker.attempt() as other:
        other.tools = attempt.tools
        await other.call("mcp__shop__order", item="tea")
    assert len(shop.authorization) > requests + 2


async def test_a_cancelled_call_closes_its_request(worker: Worker, shop: Shop) -> None:
    shop.hold = True
    async with worker.attempt() as attempt:
        await attempt.pin()
        running = asyncio.create_task(attempt.call("mcp__shop__order", item="tea"))
        await shop.started.wait()
        running.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait([running])
        await shop.cancelled.wait()


async def test_a_changed_tool_is_not_called(worker: Worker, shop: Shop) -> None:
    async with worker.attempt() as attempt:
        await attempt.pin()
        tool = attempt.tools["mcp__shop__order"]
        attempt.tools["mcp__shop__order"] = replace(tool, sha256="another")
        outcome = await attempt.call("mcp__shop__order", item="tea")
    assert outcome.is_changed
    assert "has changed this tool" in outcome.text
    assert (shop.orders, attempt.started) == ([], [])


async def test_a_long_result_is_a_file_of_which_the_model_reads_parts(
    worker: Worker, shop: Shop
) -> None:
    async with worker.attempt() as attempt:
        await attempt.pin()
        outcome = await attempt.call("mcp__shop__repeat", text="x", times=100_000)
    assert shop.orders == []
    assert len(outcome.text) < 31_000
    assert outcome.whole_output is not None
    assert outcome.whole_output.size_bytes == 100_000
    outcome.whole_output.path.unlink()


async def test_an_answer_that_is_too_long_is_not_read(worker: Worker, shop: Shop) -> None:
    async with worker.attempt() as attempt:
        await attempt.pin()
        outcome = await attempt.call("mcp__shop__repeat", text="x" * 1000, times=17_000)
    assert outcome.is_error
    assert "may have taken effect" in outcome.text
    assert shop.orders == []


async def test_a_forgotten_session_is_opened_again(worker: Worker, shop: Shop) -> None:
    user_id = new_id()
    async with worker.attempt(user_id=user_id) as attempt:
        await attempt.pin()
        manager = shop.server.session_manager
        for transport in list(manager._server_instances.values()):
            await transport.terminate()
        manager._server_instances.clear()
        outcome = await attempt.call("mcp__shop__order", item="tea")
    assert (outcome.text, shop.orders) == ("Ordered tea.", ["tea"])
    assert attempt.started == [None]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LIST_DELAYS", (0.01,))


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_is_down_is_named_with_the_reason(worker: Worker) -> None:
    worker.servers["down"] = ResolvedServer("down", url="http://127.0.0.1:9/mcp")
    async with worker.attempt() as attempt:
        with pytest.raises(McpServerError) as caught:
            await attempt.pin()
    assert caught.value.detail.startswith("MCP server 'down': ")


@pytest.mark.usefixtures("impatient")
async def test_private_addresses_are_refused(worker: Worker) -> None:
    strict = Outbound()
    worker.mcp.settings = replace(worker.mcp.settings, open_client=strict.open_client)
    worker.servers["inside"] = ResolvedServer("inside", url="http://127.0.0.1:8000/mcp")
    async with worker.attempt() as attempt:
        with pytest.raises(McpServerError, match="is not a public address"):
            await attempt.pin()
    await strict.aclose()
