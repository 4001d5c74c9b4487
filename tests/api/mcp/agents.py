"""The reference client of the MCP SDK, connected to a served gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from cli.tokens import mint
from tests.api.world import SECRET, WITHOUT_AUTHORITIES, World

MODERN = "2026-07-28"
LEGACY = "legacy"
ERAS = (MODERN, LEGACY)


@asynccontextmanager
async def connect(
    world: World,
    user: str = "alice",
    *,
    mode: str = MODERN,
    groups: str | None = None,
    token: str | None = None,
    replies_to: str | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """A client of this user. In the mode of the newest revision it discovers the server.

    `replies_to` is the URL of another gateway, which gets the client's responses.
    """
    token = token or mint(SECRET, user=user, role="user", lives=timedelta(hours=1))
    url = f"{world.url}/mcp" + (f"?groups={groups}" if groups else "")
    headers = {"Authorization": f"Bearer {token}"}

    async def redirect(request: httpx2.Request) -> None:
        if replies_to is not None and b'"method"' not in request.content:
            request.url = httpx2.URL(f"{replies_to}/mcp")

    hooks = {"request": [redirect]}
    async with (
        httpx2.AsyncClient(
            headers=headers, timeout=60, event_hooks=hooks, verify=WITHOUT_AUTHORITIES
        ) as http,
        Client(
            streamable_http_client(url, http_client=http),
            mode="auto" if mode == MODERN else mode,
            **options,
        ) as client,
    ):
        assert (client.protocol_version == MODERN) == (mode == MODERN)
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def read_refusal(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured error of a call that fails."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error
    assert isinstance(result.structured_content, dict)
    return result.structured_content
