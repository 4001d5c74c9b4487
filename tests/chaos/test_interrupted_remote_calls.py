"""kill -9 of a worker during calls of MCP tools: over HTTP, as tasks of a server, and of programs.

No call that can have an effect is made twice unless a person says so, and tasks are resumed.
"""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from claude.scripted import ScriptedModelServer
from domain.executions.states import ExecutionStatus
from tests.api.conftest import serve_app
from tests.engine.driver import Engine, Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker, worker_process
from tests.tools.mcp.remote_server import RemoteServer
from tests.tools.mcp.shops import Shop

KILLS, CALLS = 50, 2
"""Kills of the worker, and the calls of each kind that are started before each."""

LONGEST_SECONDS = 1.5
"""Between the first call and the kill; calls take a second."""

WITHIN_SECONDS = 600.0
"""For a worker that loads the SDK and continues all executions, on a busy machine."""

AT_ONCE = 10
"""Executions that continue together after the last kill."""

SOURCE = """
import json, sys, time
TOOL = {"name": "order", "inputSchema": {"type": "object"}}
RESULTS = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "chaos-program", "version": "1"},
    },
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "Ordered."}]},
}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    if asked["method"] == "tools/call":
        with open("orders", "a") as file:
            print(asked["params"]["arguments"]["item"], file=file)
        time.sleep(1)
    result = RESULTS.get(asked["method"])
    unknown = {"code": -32601, "message": "unknown"}
    found = {"result": result} if result else {"error": unknown}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **found}), flush=True)
"""
"""An MCP server that leaves a line in the workspace for each call."""

PROGRAM = {"command": sys.executable, "args": ["-I", "-c", SOURCE]}
DONE = {"text": "{last_tool_result}"}


@pytest.fixture
async def own_place(
    database_url: str, temporal_address: str, servers_directory: Path
) -> WorkerPlace:
    home = servers_directory / f"remote-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


class Work:
    """The executions that were started, by what they call."""

    def __init__(self, engine: Engine, shop_url: str, tasks_url: str) -> None:
        self.engine = engine
        self.runs: dict[str, list[Run]] = {"http": [], "tasks": [], "program": []}
        self.resumable: set[Run] = set()
        self._resumed: set[Run] = set()
        self._servers: dict[str, tuple[dict[str, Any], str]] = {
            "http": ({"url": shop_url}, "order"),
            "tasks": ({"url": tasks_url}, "work"),
            "program": (PROGRAM, "order"),
        }

    async def start(self, kind: str, item: str) -> None:
        server, tool = self._servers[kind]
        call = {"tool_use": use(f"mcp__shop__{tool}", item=item)}
        options = {"mcp_servers": {"shop": server}}
        run = await self.engine.start(
            call, DONE, sdk_options=options, allowed_tools=["mcp__shop__*"]
        )
        self.runs[kind].append(run)

    async def note_tasks(self) -> None:
        """Note the executions that know the task of their server: a kill must not lose it."""
        query = text(
            "SELECT execution_id FROM tool_calls WHERE remote_state IS NOT NULL AND output IS NULL"
        )
        async with self.engine.database.reading() as session:
            self.resumable |= {self.engine.run(id_) for id_ in await session.scalars(query)}

    async def wait_for_tasks(self) -> None:
        """Wait until the tasks that a kill interrupted have ended: five kills fail an execution."""
        for run in self.resumable - self._resumed:
            await run.wait_for_end(within=WITHIN_SECONDS)
        self._resumed |= self.resumable

    async def finish(self, kind: str) -> Counter[str]:
        """Let all end; a person says that interrupted calls are not run again.

        Only a few at a time: this process runs the worker and the servers too.
        """
        slots = asyncio.Semaphore(AT_ONCE)

        async def finish(run: Run) -> str:
            async with slots:
                return await _skip(run)

        return Counter(await asyncio.gather(*map(finish, self.runs[kind])))


async def _skip(run: Run) -> str:
    """Return how the call of an execution ended: by itself, or by a person's answer."""
    row = await run.wait_until(
        lambda row: (
            ExecutionStatus(row.status).is_terminal
            or row.status == ExecutionStatus.WAITING_FOR_USER
        ),
        within=WITHIN_SECONDS,
    )
    is_asked = not ExecutionStatus(row.status).is_terminal
    if is_asked:
        await run.answer(await run.wait_for_request(), decision="skip")
        row = await run.wait_for_end(within=WITHIN_SECONDS)
    assert row.status == ExecutionStatus.COMPLETED, row.error_message
    return "asked" if is_asked else "completed"


async def _program_orders(runs: Sequence[Run]) -> list[str]:
    files = [await run.workspace() / "orders" for run in runs]
    return [line for file in files if file.exists() for line in file.read_text().splitlines()]


def _is_program(process: psutil.Process) -> bool:
    return any("chaos-program" in part for part in process.info["cmdline"] or ())


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_no_external_call_is_repeated_after_a_kill(
    own_place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    shop, remote = Shop(is_stateless=True), RemoteServer()
    shop.pause_seconds = remote.tasks.work_seconds = 1.0
    programs = f"{sys.prefix},{sys.base_prefix}"
    more = {"PERDURE_OUTBOUND_ALLOW": "127.0.0.1", "PERDURE_MCP_PROGRAMS": programs}
    rng = random.Random(7)  # noqa: S311 - chooses moments
    async with (
        serve_app(shop.app) as url,
        remote.serve(),
        open_driver(own_place, scripted_model) as engine,
    ):
        work = Work(engine, f"{url}/mcp", remote.url)
        for kill in range(KILLS):
            log = own_place.home / "log"
            async with worker_process(own_place, scripted_model, log=log, more=more) as process:
                await work.wait_for_tasks()
                shop.started.clear()
                for number in range(CALLS):
                    await asyncio.gather(*(work.start(k, f"{kill}-{number}") for k in work.runs))
                await shop.started.wait()
                await asyncio.sleep(rng.uniform(0, LONGEST_SECONDS))
                await work.note_tasks()
                process.kill()
                await process.wait()
        settings = {"outbound_allow": "127.0.0.1", "mcp_programs": programs}
        async with run_worker(own_place, scripted_model, **settings):
            ended = {kind: await work.finish(kind) for kind in work.runs}
        orders = {
            "http": shop.orders,
            "tasks": [task.arguments["item"] for task in remote.tasks.tasks],
            "program": await _program_orders(work.runs["program"]),
        }
        for kind, items in orders.items():
            repeated = {item: count for item, count in Counter(items).items() if count > 1}
            assert (kind, repeated) == (kind, {})
            assert ended[kind]["asked"] + ended[kind]["completed"] == KILLS * CALLS
        assert ended["http"]["asked"]
        assert ended["program"]["asked"]
        assert work.resumable
        for run in work.resumable:
            assert (await run.text(), await run.requests()) == ("worked", [])
    assert not any(map(_is_program, psutil.process_iter(["cmdline"])))
