"""Tools of MCP servers on the real engine: pinned in Postgres, called, and never called twice."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claude.scripted import ScriptedModelServer
from domain.executions.states import ExecutionStatus
from tests.api.conftest import serve_app
from tests.engine.driver import use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker, worker_process
from tests.tools.mcp.remote_server import RemoteServer
from tests.tools.mcp.shops import Shop
from tests.tools.mcp.test_continuing import TEXT, elicitation
from tests.waiting import eventually

ALLOW = {"outbound_allow": "127.0.0.1"}
DONE = {"text": "{last_tool_result}"}


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    """A place of the test's own: its worker may reach this machine."""
    home = servers_directory / f"remote-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


class RunningShop(Shop):
    """The server, and how a task names it."""

    url = ""

    def task(self) -> dict[str, Any]:
        servers = {"shop": {"url": f"{self.url}/mcp"}}
        return {"sdk_options": {"mcp_servers": servers}, "allowed_tools": ["mcp__shop__*"]}


@pytest.fixture
async def shop() -> AsyncIterator[RunningShop]:
    shop = RunningShop(is_stateless=True)
    async with serve_app(shop.app) as shop.url:
        yield shop


def order(item: str) -> dict[str, Any]:
    return {"tool_use": use("mcp__shop__order", item=item)}


async def test_a_tool_is_called_and_a_call_is_cancelled(
    place: WorkerPlace, scripted_model: ScriptedModelServer, shop: RunningShop
) -> None:
    async with (
        open_driver(place, scripted_model) as engine,
        run_worker(place, scripted_model, **ALLOW),
    ):
        run = await engine.run_to_completion(order("tea"), DONE, **shop.task())
        assert await run.text() == "Ordered tea."
        [call] = await run.tool_calls()
        assert (call.name, call.effect) == ("mcp__shop__order", "external")
        events = await run.events()
        [pinned] = [event for event in events if event.type == "tools.pinned"]
        assert pinned.data == {"servers": {"shop": 2}, "warnings": []}

        shop.hold = True
        shop.started.clear()
        held = await engine.start(order("rice"), DONE, **shop.task())
        await shop.started.wait()
        await held.cancel()
        row = await held.wait_for_end()
        assert row.status == ExecutionStatus.CANCELLED
        await shop.cancelled.wait()
    assert shop.orders == ["tea", "rice"]


async def test_a_worker_that_ends_while_it_loads_the_sdk_counts_no_attempt(
    place: WorkerPlace, scripted_model: ScriptedModelServer, shop: RunningShop
) -> None:
    """The workers find a package that takes long to load instead of the SDK."""
    loading = place.home / "loading"
    slow = place.home / "slow" / "mcp" / "__init__.py"
    slow.parent.mkdir(parents=True)
    slow.write_text(f"open({str(loading)!r}, 'w').close()\n__import__('time').sleep(600)\n")
    more = {"PERDURE_OUTBOUND_ALLOW": "127.0.0.1", "PYTHONPATH": str(slow.parent.parent)}

    async def is_loading() -> bool:
        return await asyncio.to_thread(loading.exists)

    async with open_driver(place, scripted_model) as engine:
        run = await engine.start(order("tea"), DONE, **shop.task())
        for _ in range(2):
            async with worker_process(place, scripted_model, log=place.home / "log", more=more):
                await eventually(is_loading, what="an attempt that loads the SDK")
                row = await run.row()
            loading.unlink()
    assert (row.attempt, row.stalled_attempts) == (1, 0)


@pytest.mark.long
async def test_a_task_of_a_server_and_its_question_survive_kills(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    server = RemoteServer()
    log, more = place.home / "log", {"PERDURE_OUTBOUND_ALLOW": "127.0.0.1"}
    tasks = server.tasks.tasks

    async def is_polled() -> bool:
        return bool(tasks and tasks[0].polls)

    async def is_answered() -> bool:
        return bool(tasks[0].responses)

    async with server.serve(), open_driver(place, scripted_model) as engine:
        servers = {"mcp_servers": {"shop": {"url": server.url}}}
        allowed: dict[str, Any] = {"sdk_options": servers, "allowed_tools": ["mcp__shop__*"]}
        async with worker_process(place, scripted_model, log=log, more=more) as process:
            run = await engine.start({"tool_use": use("mcp__shop__work")}, DONE, **allowed)
            await eventually(is_polled, what="a poll of the task")
            process.kill()
            await process.wait()
        tasks[0].status, tasks[0].input_requests = "input_required", {"a": elicitation()}
        async with worker_process(place, scripted_model, log=log, more=more) as process:
            request = await run.wait_for_request()
            process.kill()
            await process.wait()
        await run.answer(request, values={"count": 3})
        async with run_worker(place, scripted_model, **ALLOW):
            await eventually(is_answered, what="the answer at the server")
            tasks[0].status, tasks[0].result = "completed", TEXT
            row = await run.wait_for_end()
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, "finished")
    assert len(tasks) == 1
    assert tasks[0].responses == {"a": {"action": "accept", "content": {"count": 3}}}
