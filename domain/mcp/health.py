"""The result of a health check of an MCP server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class McpHealth:
    """What a check found; `detail` says what is wrong."""

    is_healthy: bool
    detail: str | None = None
    latency_ms: int | None = None
    """To connect, negotiate and list the tools."""
    server_info: Mapping[str, Any] | None = None
    protocol_version: str | None = None
    """The revision of the protocol that was negotiated."""
    tool_count: int | None = None
