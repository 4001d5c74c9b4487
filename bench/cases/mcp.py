"""The MCP server: what a call of a tool adds to the API below it, and what idle clients cost."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2

from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.processes import memory_bytes
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import WARM_UP
from bench.world import World
from cli.tokens import mint

REVISION = "2026-07-28"
CLIENTS = 200
"""Idle clients, each with an open stream, as Claude Code has one."""

USERS = 4
"""Of the idle clients: a user has 100 streams at most."""

MB = 1024 * 1024


async def measure(scale: Scale) -> Section:
    """Calls over both surfaces by turns, then idle clients."""
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        task = await ours.task(Job())
        say("execute_task over MCP and over the API, by turns")
        for nonce in fresh_nonces(WARM_UP):
            await _start_by_tool(ours, task, nonce)
        api, mcp = await _measure_by_turns(ours, task, 4 * scale.alone)
        say(f"{CLIENTS} idle clients")
        kb = await _memory_of_clients(world) / CLIENTS / 1024
    added = Spread.of(b - a for a, b in zip(api, mcp, strict=True))
    rows = [
        ("execute over the API", str(Spread.of(api))),
        ("execute_task over MCP", str(Spread.of(mcp))),
        ("difference of pairs", str(added)),
    ]
    return Section(
        "MCP server",
        "Milliseconds until an execution is accepted, without waiting for it, one call at a time; "
        f"and the memory of the gateway with {CLIENTS} idle clients, each with an open "
        f"`subscriptions/listen` stream: {format_figure(kb)} KB for each.",
        [Table("Start of an execution", ("what", "ms"), rows)],
        [
            Bar("execute_task over MCP beyond the API", added.median, 10.0, unit="ms"),
            Bar(f"memory of {CLIENTS} idle MCP clients", kb * CLIENTS / 1024, 20.0, unit="MB"),
        ],
    )


async def _measure_by_turns(
    ours: Perdure, task: str, count: int
) -> tuple[Sequence[float], Sequence[float]]:
    """Milliseconds of both surfaces, one right after the other."""
    api: list[float] = []
    mcp: list[float] = []
    for first, second in zip(fresh_nonces(count), fresh_nonces(count), strict=True):
        began = time.perf_counter()
        await ours.execute(task, first)
        between = time.perf_counter()
        await _start_by_tool(ours, task, second)
        api.append(1000 * (between - began))
        mcp.append(1000 * (time.perf_counter() - between))
    return api, mcp


async def _start_by_tool(ours: Perdure, task: str, nonce: str) -> None:
    arguments = {"task": task, "variables": {"nonce": nonce}, "wait": False}
    response = await ours.http.post(
        "/mcp", **_request("tools/call", name="execute_task", arguments=arguments)
    )
    result = response.raise_for_status().json()["result"]
    if result.get("isError"):
        raise RuntimeError(result["content"])


async def _memory_of_clients(world: World) -> float:
    """Bytes that the gateway has more while the clients are connected."""
    gateway = world.facts["pids"]["api"]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(_client(world, i)) for i in range(CLIENTS)]
        before = memory_bytes(gateway)
        for client in clients:
            await stack.enter_async_context(_listening(client))
        return memory_bytes(gateway) - before


@asynccontextmanager
async def _client(world: World, number: int) -> AsyncIterator[httpx2.AsyncClient]:

    secret = world.home.ensure_secret(world.home.jwt_secret_file)
    user = f"idle-{number % USERS}"
    token = mint(secret, user=user, role="user", lives=timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(
        base_url=world.facts["api_url"], headers=headers, timeout=60
    ) as client:
        yield client


@asynccontextmanager
async def _listening(client: httpx2.AsyncClient) -> AsyncIterator[None]:
    """An open stream, once its first message has arrived."""
    request = _request("subscriptions/listen", notifications={"toolsListChanged": True})
    async with client.stream("POST", "/mcp", **request) as response:
        response.raise_for_status()
        lines = response.aiter_lines()
        while not (await anext(lines)).startswith("data:"):
            pass
        yield
        del lines  # the response is closed with the last reference to them


def _request(method: str, **params: Any) -> dict[str, Any]:
    """A request of the newest revision, as keyword arguments of the HTTP client."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": REVISION,
        "Mcp-Method": method,
    }
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    content = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    return {"json": content, "headers": headers}
