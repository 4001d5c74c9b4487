"""What the MCP servers of a worker use."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx2

from domain.mcp.auth import Send
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import RemoteScope
from tools.toolbox import Toolbox

ResolveServer = Callable[[RemoteScope, str, UUID | None], Awaitable[ResolvedServer]]
"""Reads a server and its secrets: the execution, the server's name in its definition, and the id
that was pinned. Raises a PerdureError if it can't be used."""


@dataclass(frozen=True, slots=True)
class McpSettings:
    """What the MCP servers of a worker use."""

    toolbox: Toolbox
    """The workspaces, the sandbox and the limits."""
    resolve: ResolveServer
    open_client: Callable[[Mapping[str, str]], httpx2.AsyncClient]
    """Opens an HTTP client for one host, with these headers; it checks addresses."""
    send: Send
    """Sends one request to a checked address, for access tokens."""
    programs: tuple[Path, ...] = ()
    """Directories of the host that programs may read."""
