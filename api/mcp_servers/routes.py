"""Routes of MCP servers: register them once, name them in tasks, check whether they answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.request_context import Call, Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import answer
from api.http.schemas import Read, from_row
from api.links import BASE
from persistence.tables.definitions import McpServerRow
from services.definitions import mcp_health
from services.definitions.inputs import McpAuth, McpServerCreate, McpServerUpdate
from services.definitions.mcp_servers import MCP_SERVERS
from services.definitions.mcp_values import mask_values


class HealthRead(BaseModel):
    """The result of a health check."""

    model_config = ConfigDict(frozen=True)

    status: Literal["healthy", "unhealthy"]
    latency_ms: Annotated[
        int | None, Field(description="Time to connect, negotiate and list the tools.")
    ]
    server_info: Annotated[
        dict[str, Any] | None, Field(description="How the server describes itself.")
    ]
    protocol_version: Annotated[
        str | None, Field(description="The revision of the protocol that was negotiated.")
    ]
    tool_count: Annotated[int | None, Field(description="How many tools the server has.")] = None
    checked_at: datetime
    detail: Annotated[str | None, Field(description="What is wrong, in a sentence.")]


class McpServerRead(Read):
    """A registered MCP server; secret values are masked."""

    paths = {"self": "/mcp-servers/{id}", "health_check": "/mcp-servers/{id}/health-check"}

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    url: str | None
    command: str | None
    args: list[str]
    headers: dict[str, str]
    env: dict[str, str]
    auth: McpAuth | None
    is_public: bool
    is_trusted: bool
    health: HealthRead | None
    created_at: datetime
    updated_at: datetime


def render_mcp_server(_: Call, row: McpServerRow) -> McpServerRead:
    """Return a registered MCP server as clients read it, with secret values masked."""
    return from_row(
        McpServerRead,
        row,
        headers=mask_values(row.headers),
        env=mask_values(row.env),
        auth=None if row.auth is None else McpAuth.model_validate(row.auth),
        health=None if row.health is None else HealthRead.model_validate(row.health),
    )


router = APIRouter(prefix=f"{BASE}/mcp-servers", tags=["MCP servers"])


routes = ResourceRoutes(
    router, "mcp_server", McpServerRead, render_mcp_server, "/{server_id}", path_key("server_id")
)
routes.add_create(
    MCP_SERVERS.create,
    McpServerCreate,
    'Register a server. Tasks name it in `sdk_options.mcp_servers` as `{"ref": NAME}`.',
)
routes.add_list(MCP_SERVERS.page, "List your servers and the public ones, newest first.")
routes.add_get(MCP_SERVERS.find, "Get a server; secret values are masked.")
routes.add_update(
    MCP_SERVERS.update,
    McpServerUpdate,
    "Change a server. A header or variable that is sent back masked stays as it is.",
)
routes.add_delete(
    MCP_SERVERS.delete,
    "Delete a server. Tasks that name it cannot be changed until they name another one.",
)


@router.post("/{server_id}/health-check", responses={200: {"model": HealthRead}})
async def check_mcp_server(call: Called, server_id: UUID) -> Response:
    """Connect to a server of yours and list its tools, with its secrets and access tokens.

    If it does not answer, the response is still 200, with `status: unhealthy`.
    """
    check = call.gateway.mcp_health.check
    health = await mcp_health.check_mcp_server(call.services, call.caller, check, server_id)
    return answer(HealthRead.model_validate(health))
