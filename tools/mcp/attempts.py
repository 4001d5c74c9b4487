"""The MCP servers of a worker, and of one attempt at an execution.

This module loads no SDK: executions without MCP servers need none.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

import httpx2

from domain.mcp_auth import Send
from domain.mcp_servers import ResolvedServer
from domain.mcp_tools import RemoteCall, RemoteScope, ServerTools
from domain.tool_calls import OnProgress, OnStarted, ToolOutcome
from tools.limits import ToolLimits
from tools.toolbox import Toolbox

if TYPE_CHECKING:
    from mcp_client.pool import HttpPool
    from tools.mcp.servers import AttemptConnections

ResolveServer = Callable[[RemoteScope, str, UUID | None], Awaitable[ResolvedServer]]
"""Reads a server and its secrets: the execution, the server's name in its definition, and the id
that was pinned. Raises a PerdureError if it can't be used."""


@dataclass(frozen=True, slots=True)
class McpSettings:
    """What the MCP servers of a worker need from outside."""

    resolve: ResolveServer
    open_client: Callable[[Mapping[str, str]], httpx2.AsyncClient]
    """Opens an HTTP client for one host, with these headers; it checks addresses."""
    send: Send
    """Sends one request to a checked address, for access tokens."""
    programs: tuple[Path, ...] = ()
    """Directories of the host that programs may read."""


class McpTools:
    """What all attempts of a worker share: settings, the sandbox, and pooled connections."""

    def __init__(self, toolbox: Toolbox, settings: McpSettings, limits: ToolLimits) -> None:
        """`toolbox` has the workspaces and the sandbox."""
        self.toolbox = toolbox
        self.settings = settings
        self.limits = limits
        self._pool: HttpPool | None = None
        self._loading = asyncio.Lock()

    def attempt(self) -> "AttemptServers":
        """The servers of one attempt; a context that ends its programs."""
        return AttemptServers(self)

    async def pool(self) -> "HttpPool":
        """The connections over HTTP. The first time, it loads the SDK in a thread."""
        async with self._loading:
            if self._pool is None:
                await asyncio.to_thread(importlib.import_module, "tools.mcp.servers")
                from mcp_client.pool import HttpPool  # noqa: PLC0415 - loads the SDK

                self._pool = HttpPool(self.settings.open_client, self.settings.send)
            return self._pool

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()


class AttemptServers:
    """Implements `agent.ports.RemoteTools`."""

    def __init__(self, servers: McpTools) -> None:
        """`servers` are those of the worker."""
        self._servers = servers
        self._connections: AttemptConnections | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connections is not None:
            await self._connections.close()

    async def list_tools(self, scope: RemoteScope) -> Sequence[ServerTools]:
        """Return the tools of all servers of the execution, in the order of its definition.

        Raises:
            PerdureError: a server can't be used, with its name and the reason.
        """
        return await (await self._open()).list_tools(scope)

    async def run(
        self, call: RemoteCall, *, on_started: OnStarted, on_progress: OnProgress
    ) -> ToolOutcome:
        """Run one call. A failure of the server is an error outcome."""
        connections = await self._open()
        return await connections.run(call, on_started=on_started, on_progress=on_progress)

    async def cancel(self, call: RemoteCall) -> None:
        """Ask the server to cancel the task of a call, if it has one."""
        await (await self._open()).cancel(call)

    async def _open(self) -> "AttemptConnections":
        if self._connections is None:
            pool = await self._servers.pool()
            from tools.mcp.servers import AttemptConnections  # noqa: PLC0415 - as above

            if self._connections is None:  # two calls may have waited for the pool
                self._connections = AttemptConnections(self._servers, pool)
        return self._connections
