"""Checks whether MCP servers answer, with the client that workers use.

Importing this module loads no SDK; the first check does.
"""

import asyncio
import importlib
import time
from typing import TYPE_CHECKING
from uuid import UUID

from domain.errors import McpServerError
from domain.mcp.health import McpHealth
from domain.mcp.servers import ResolvedServer
from domain.text import clean
from runtime.outbound import Outbound

if TYPE_CHECKING:
    from mcp_client.connections import ServerFacts
    from mcp_client.pool import HttpPool

TIMEOUT_SECONDS = 10.0
"""A person waits for the result; a server that takes longer is no use to an agent (chosen)."""

MAX_TEXT_CHARACTERS = 200
"""Limit of each text in which a server describes itself (chosen)."""

MAX_CAPABILITIES = 20
"""Capabilities of a server that are shown (chosen)."""


class HealthChecker:
    """Connects to servers. Access tokens are kept for the next check of the same user."""

    def __init__(self, outbound: Outbound) -> None:
        """`outbound` decides which addresses may be reached."""
        self._outbound = outbound
        self._pool: HttpPool | None = None

    async def check(self, user_id: UUID, server: ResolvedServer) -> McpHealth:
        """Negotiate with a server and list its tools. Every failure is a result, not an error."""
        pool = await self._load()
        started_at = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), pool.open(user_id, server) as connection:
                tools = await connection.list_tools()
                facts = connection.facts
        except TimeoutError:
            sentence = f"The server did not answer within {TIMEOUT_SECONDS:g} s."
            return McpHealth(is_healthy=False, detail=sentence)
        except McpServerError as error:
            return McpHealth(is_healthy=False, detail=error.detail)
        return McpHealth(
            is_healthy=True,
            latency_ms=round((time.monotonic() - started_at) * 1000),
            server_info=_describe(facts),
            protocol_version=_text(facts.protocol_version),
            tool_count=len(tools),
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()

    async def _load(self) -> "HttpPool":
        await asyncio.to_thread(importlib.import_module, "mcp_client.pool")
        from mcp_client.pool import HttpPool  # noqa: PLC0415 - loads the SDK

        if self._pool is None:
            self._pool = HttpPool(self._outbound.open_client, self._outbound.send)
        return self._pool


def _describe(facts: "ServerFacts") -> dict[str, object]:
    texts = {name: _text(value) for name, value in facts.info.items()}
    return {**texts, "capabilities": [_text(n) for n in facts.capabilities[:MAX_CAPABILITIES]]}


def _text(value: str) -> str:
    return clean(value)[:MAX_TEXT_CHARACTERS]
