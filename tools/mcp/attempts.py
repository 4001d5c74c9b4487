"""The MCP servers of a worker, and of one attempt at an execution.

This module loads no SDK: executions without MCP servers need none.
"""

import asyncio
import importlib
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from domain.mcp.tools import RemoteCall, RemoteScope, ServerTools
from domain.tools.calls import OnProgress, OnStarted, ToolOutcome
from tools.mcp.settings import McpSettings

if TYPE_CHECKING:
    from mcp_client.pool import HttpPool
    from tools.mcp.servers import AttemptConnections


class McpTools:
    """What all attempts of a worker share: its settings, and pooled connections."""

    def __init__(self, settings: McpSettings) -> None:
        """Connect to nothing yet."""
        self.settings = settings
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
                self._connections = AttemptConnections(self._servers.settings, pool)
        return self._connections
