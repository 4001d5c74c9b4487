"""MCP servers, from rows to what clients read."""

from api.http.request_context import Call
from api.http.schemas import from_row
from api.mcp_servers.schemas import HealthRead, McpServerRead
from persistence.tables.definitions import McpServerRow
from services.definitions.mcp_values import mask_values


def render_mcp_server(_: Call, row: McpServerRow) -> McpServerRead:
    """Return a registered MCP server as clients read it, with secret values masked."""
    return from_row(
        McpServerRead,
        row,
        headers=mask_values(row.headers),
        env=mask_values(row.env),
        health=None if row.health is None else HealthRead.model_validate(row.health),
    )
