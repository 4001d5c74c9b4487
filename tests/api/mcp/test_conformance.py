"""The official conformance suite, on our server with the tools that it wants (`fixtures.py`)."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from mcp.server.lowlevel.server import Server
from starlette.routing import Route

from api.main import VERSION, create_app
from api.mcp.catalogue import CATALOGUE
from api.mcp.endpoint import McpEndpoint
from api.mcp.resource_metadata import PATH
from api.mcp.server import create_server
from tests.api.conftest import serve_app
from tests.api.mcp.fixtures import add_fixtures
from tests.api.mcp.proxy import authorizing_proxy
from tests.api.mcp.task_fixtures import add_task_fixtures
from tests.api.mcp.test_transport import token_of
from tests.api.world import World
from tests.node import node_tool

TASK_FAILURES = {
    "sep-2663-tasks-get-status-failed": "an execution that fails is a result with `isError`",
    "tasks-mrtr-partial-fulfillment": "questions are shown one after the other",
}
"""Checks of tasks that fail, each with the reason."""

EXPECTED = Path(__file__).with_name("expected_failures.yaml")


@asynccontextmanager
async def serve_fixtures(
    world: World, add: Callable[[Server[Any]], None] = add_fixtures
) -> AsyncIterator[str]:
    """The server with fixtures, behind a proxy with credentials, which the suite can't send."""
    server = create_server(CATALOGUE, version=VERSION, state_keys=[bytes(32)])
    add(server)
    endpoint = McpEndpoint(server, body_limit_bytes=1_000_000)
    app = create_app(world.gateway.settings)
    app.router.routes.insert(0, Route(PATH, endpoint, methods=["POST"]))
    async with (
        endpoint.running(),
        serve_app(app) as url,
        authorizing_proxy(url, token_of()) as proxied,
    ):
        yield f"{proxied}/mcp"


async def run(*argv: str, home: Mapping[str, str] = MappingProxyType({})) -> tuple[int | None, str]:
    """The exit code and the output of a program; `home` are variables for it."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **home},
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_the_server_conforms(world: World, revision: str, tmp_path: Path) -> None:
    async with serve_fixtures(world) as address:
        code, output = await run(
            *node_tool("@modelcontextprotocol/conformance"),
            "server",
            *("--url", address),
            *("--requirements", revision),
            *("--expected-failures", str(EXPECTED)),
            *("--output-dir", str(tmp_path)),
        )
    assert code == 0, output
    assert "Total:" in output


TASKS = (
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
)


@pytest.mark.long
async def test_executions_conform_as_tasks(live: World, tmp_path: Path) -> None:
    async with serve_fixtures(live, add_task_fixtures) as address:
        for scenario in TASKS:
            code, output = await run(
                *node_tool("@modelcontextprotocol/conformance"),
                "server",
                *("--url", address),
                *("--scenario", scenario),
                *("--spec-version", "2026-07-28", "--force"),
                *("--output-dir", str(tmp_path)),
            )
            assert code in (0, 1), output
    checks = read_checks(tmp_path)
    failed = {c["id"]: c.get("errorMessage") for c in checks if c["status"] == "FAILURE"}
    assert len(checks) > 30
    assert failed.keys() == TASK_FAILURES.keys(), failed


def read_checks(results: Path) -> list[dict[str, Any]]:
    """The checks of all scenarios."""
    files = results.glob("*/checks.json")
    return [check for file in files for check in json.loads(file.read_text())]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_the_inspector_finds_no_problem(world: World, era: str, tmp_path: Path) -> None:
    inspector = node_tool("@modelcontextprotocol/inspector", "mcp-inspector")
    server = ["--server-url", f"{world.url}/mcp?groups=all", "--transport", "http"]
    header = ["--header", f"Authorization: Bearer {token_of()}"]
    options = ["--cli", *server, *header, "--format", "json", "-q", "--stored-auth-only"]
    home = {"HOME": str(tmp_path), "MCP_CATALOG_PATH": str(tmp_path / "catalog.json")}
    listing = ["--protocol-era", era, "--method", "tools/list", "--strict"]
    code, output = await run(*inspector, *options, *listing, home=home)
    assert code == 0, output
    assert "execute_task" in output
    calling = ["--protocol-era", era, "--method", "tools/call", "--tool-name", "list_tasks"]
    code, output = await run(*inspector, *options, *calling, home=home)
    assert code == 0, output
    assert "next_step" in output
