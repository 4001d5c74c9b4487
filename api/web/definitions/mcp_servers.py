"""Pages of MCP servers."""

from uuid import UUID

from fastapi import APIRouter, Response

from api.web import pages
from api.web.definitions.forms import Field, Section
from api.web.definitions.resource_pages import DefinitionPages, ResourceStore
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Visiting
from persistence.tables.definitions import McpServerRow
from services.definitions import mcp_health
from services.definitions.inputs import (
    McpServerCreate,
    McpServerUpdate,
)
from services.definitions.mcp_servers import MCP_SERVERS

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_STORED_VALUES = (
    "Other values than references to secrets are stored encrypted and never shown again."
)


def _facts(row: McpServerRow) -> list[str]:
    marks = [mark for mark in ("public", "trusted") if getattr(row, f"is_{mark}")]
    health = [row.health["status"]] if row.health else []
    return [row.url or f"command {row.command}", *health, *marks]


SERVER_PAGES = DefinitionPages(
    path="/mcp-servers",
    texts={
        "title": "MCP servers",
        "noun": "MCP server",
        "lead": "Tools from other programs. A task names a server in its options, and Claude gets "
        "its tools as mcp__NAME__TOOL.",
        "empty": "Register a server by its URL. Values such as tokens are best kept as secrets.",
        "delete": "Tasks that name it can't be changed until they name another one.",
    },
    store=ResourceStore(MCP_SERVERS, McpServerCreate, McpServerUpdate),
    model=McpServerCreate,
    sections=(
        Section(
            "",
            (
                Field("name", hint="Lowercase letters, digits and dashes.", is_short=True),
                Field("description"),
                Field("url", hint="Such as https://mcp.example.com/mcp.", is_short=True),
                Field(
                    "command",
                    hint="Instead of a URL: a program that a worker starts.",
                    is_short=True,
                    is_for_admins=True,
                ),
                Field("args", "Arguments of the command", is_for_admins=True),
                Field(
                    "env",
                    "Environment of the command",
                    _STORED_VALUES,
                    is_for_admins=True,
                ),
                Field(
                    "headers",
                    hint=f"Such as Authorization with Bearer secret://shop. {_STORED_VALUES}",
                ),
                Field(
                    "auth",
                    "Access tokens",
                    "How Perdure gets access tokens from the server's "
                    "authorization server. Leave all fields empty if it needs none.",
                ),
                Field(
                    "is_public",
                    "The tasks of all users can name it",
                    "Only admins can change this.",
                    is_for_admins=True,
                ),
                Field(
                    "is_trusted",
                    "Trust what it says about the effects of its tools",
                    "A tool that it marks as read-only is repeated after a crash without asking.",
                    is_for_admins=True,
                ),
            ),
        ),
    ),
    read_row=MCP_SERVERS.body_fields,
    facts=_facts,
    list_rows=MCP_SERVERS.page,
    key="server_id",
    template="mcp_server.html.j2",
)


SERVER_PAGES.add_to(router)


@router.post("/mcp-servers/{server_id}/check", dependencies=[FORM_IS_OWN])
async def check_server(visit: Visiting, server_id: UUID) -> Response:
    """Connect to a server and list its tools."""
    call = visit.call
    check = call.gateway.mcp_health.check
    await mcp_health.check_mcp_server(call.services, call.caller, check, server_id)
    return pages.redirect(f"/mcp-servers/{server_id}/edit")
