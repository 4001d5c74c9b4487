"""Routes of MCP servers: register them once, name them in tasks, check whether they answer."""

from functools import partial
from uuid import UUID

from fastapi import APIRouter, Response

from api.http.request_context import Called
from api.http.resource_routes import EditableResourceRoutes
from api.http.responses import answer
from api.mcp_servers.schemas import HealthRead, McpServerRead
from api.mcp_servers.views import render_mcp_server
from runtime.mcp_health import check_health
from services.definitions import mcp_servers
from services.definitions.mcp_servers import MCP_SERVERS

router = APIRouter(prefix="/mcp-servers", tags=["MCP servers"])


async def _key(server_id: UUID) -> UUID:
    return server_id


routes = EditableResourceRoutes(
    router, MCP_SERVERS, McpServerRead, render_mcp_server, "/{server_id}", _key
)
routes.add_create(
    'Register a server. Tasks name it in `sdk_options.mcp_servers` as `{"ref": NAME}`.'
)
routes.add_list(MCP_SERVERS.page, "List your servers and the public ones, newest first.")
routes.add_get("Get a server; secret values are masked.")
routes.add_update("Change a server. A header or variable that is sent back masked stays as it is.")
routes.add_delete(
    "Delete a server. Tasks that name it cannot be changed until they name another one."
)


@router.post("/{server_id}/health-check", responses={200: {"model": HealthRead}})
async def check_mcp_server(call: Called, server_id: UUID) -> Response:
    """Check whether a server of yours answers.

    If it does not, the response is still 200, with `status: unhealthy`.
    """
    check = partial(check_health, call.gateway.outbound)
    health = await mcp_servers.check_mcp_server(call.services, call.caller, check, server_id)
    return answer(HealthRead.model_validate(health))
