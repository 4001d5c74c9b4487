"""MCP servers by other authors, over both transports, as an attempt reaches them."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bench.packages import NODE_HOME
from domain.errors import McpServerError
from domain.ids import new_id
from domain.mcp.remote_waits import RemoteState
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import PinnedTool, RemoteCall, RemoteScope, pin
from domain.rules.permissions import Permissions
from domain.tools.calls import ProcessIdentity, ToolOutcome, ToolProgress
from runtime.outbound import Outbound
from tests.node import PLACE
from tools.limits import ToolLimits
from tools.mcp.attempts import AttemptServers, McpTools
from tools.mcp.settings import McpSettings
from tools.toolbox import Toolbox

PROGRAMS = (Path(sys.prefix), NODE_HOME, PLACE, Path(sys.base_prefix))


class Attempt:
    """One attempt with the servers of one execution, by name."""

    def __init__(self, servers: AttemptServers, scope: RemoteScope) -> None:
        self.servers = servers
        self.scope = scope
        self.tools: dict[str, PinnedTool] = {}
        self.started: list[ProcessIdentity | None] = []
        self.definitions: list[Mapping[str, Any]] = []
        self.warnings: list[str] = []
        self.progress: list[ToolProgress] = []

    async def pin(self) -> list[str]:
        """Pin all tools, as an execution does when it starts."""
        pins = pin(await self.servers.list_tools(self.scope), Permissions(allowed=["*"]))
        self.tools = {tool.name: tool for tool in pins.tools}
        self.definitions = list(pins.definitions)
        self.warnings = list(pins.warnings)
        return list(self.tools)

    async def call(
        self, name: str, /, *, state: RemoteState | None = None, **tool_input: Any
    ) -> ToolOutcome:
        async def on_started(process: ProcessIdentity | None) -> None:
            self.started.append(process)

        call = RemoteCall(self.scope, self.tools[name], "toolu_1", tool_input, state)
        return await self.servers.run(call, on_started=on_started, on_progress=self.progress.append)


class Worker:
    """The MCP servers of a worker, whose definitions tests put in."""

    def __init__(self, root: Path, outbound: Outbound, limits: ToolLimits) -> None:
        self.servers: dict[str, ResolvedServer] = {}
        self.outbound = outbound
        toolbox = Toolbox(root, host_id="here", limits=limits)
        self.mcp = McpTools(
            McpSettings(
                toolbox, self._resolve, outbound.open_client, outbound.send, _outermost(PROGRAMS)
            )
        )

    async def _resolve(self, scope: RemoteScope, key: str, _: UUID | None) -> ResolvedServer:
        del scope
        if key not in self.servers:
            raise McpServerError(f"MCP server {key!r}: it does not exist.", is_final=True)
        return self.servers[key]

    @asynccontextmanager
    async def attempt(self, *keys: str, user_id: UUID | None = None) -> AsyncIterator[Attempt]:
        servers: Mapping[str, Any] = {key: {} for key in keys or self.servers}
        scope = RemoteScope(new_id(), user_id or new_id(), new_id(), servers)
        async with self.mcp.attempt() as attempt:
            yield Attempt(attempt, scope)

    def workspace(self, attempt: Attempt) -> Path:
        return self.mcp.settings.toolbox.workspace(attempt.scope.session_id)


def _outermost(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Without those below another one, and those of the system."""
    outer = [p for p in paths if not any(o != p and p.is_relative_to(o) for o in paths)]
    return tuple(p for p in dict.fromkeys(outer) if not p.is_relative_to("/usr"))


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that the user of commands can enter."""
    tmp_path.chmod(0o711)
    return tmp_path


@pytest.fixture
def limits() -> ToolLimits:
    """Limits of the programs."""
    return ToolLimits()


@pytest.fixture
async def worker(open_path: Path, limits: ToolLimits) -> AsyncIterator[Worker]:
    outbound = Outbound(["127.0.0.1"])
    worker = Worker(open_path / "workspaces", outbound, limits)
    yield worker
    await worker.mcp.close()
    await outbound.aclose()
