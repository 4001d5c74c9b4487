"""Pages of groups, tool groups, MCP servers, secrets and remembered decisions."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.input_requests.remembered_schemas import RememberedQuery, render_rule
from api.web import pages
from api.web.definition_forms import Field, Section
from api.web.definition_pages import DefinitionPages, ResourceStore
from api.web.listings import make_list, read_query
from api.web.page_forms import make_body
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Visiting
from domain.errors import DuplicateNameError
from domain.people import GROUP
from persistence.definitions import secrets, tasks
from persistence.executions import queries
from persistence.tables.definitions import McpServerRow, SecretRow
from persistence.tables.people import GroupRow, RememberedDecisionRow
from reports.phrases import count_of
from services.definitions import mcp_health
from services.definitions.inputs import (
    McpServerCreate,
    McpServerUpdate,
    SecretName,
    SecretPut,
    ToolGroupCreate,
    ToolGroupUpdate,
)
from services.definitions.mcp_servers import MCP_SERVERS
from services.definitions.secrets import SECRETS, put_secret
from services.definitions.tool_groups import TOOL_GROUPS
from services.executions.remembering import REMEMBERED_DECISIONS, RememberedFilter
from services.identity.groups import GROUPS, GroupCreate, GroupUpdate
from services.unit_of_work import Precondition, UnitOfWork

router = APIRouter(include_in_schema=False, route_class=PageRoute)


_STORED_VALUES = (
    "Other values than references to secrets are stored encrypted and never shown again."
)


class SecretForm(SecretPut):
    """A secret with its name, which the API has in its path."""

    name: SecretName


class SecretStore(ResourceStore):
    """Stores forms of secrets: a form always has the whole secret."""

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> SecretRow:
        """Store a new secret (`DefinitionStore.create`).

        Raises:
            DuplicateNameError: there is one with this name, whose value would be lost.
        """
        body = make_body(SecretForm, members)
        if await secrets.find(work.session, work.caller.user_id, body.name) is not None:
            raise DuplicateNameError("You have a secret with this name; open it to replace it.")
        stored = await put_secret(work, body.name, body)
        return stored.row

    async def update(
        self, work: UnitOfWork, key: Any, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Replace a secret (`DefinitionStore.update`)."""
        precondition(await self.find(work.session, work.caller, key))
        await put_secret(work, key, make_body(SecretPut, members))


def _group_facts(row: GroupRow) -> list[str]:
    hours = row.working_hours
    shown = [f"{hours['start']} to {hours['end']}, {hours['time_zone']}"] if hours else []
    return [f"{GROUP}{row.name}", count_of(len(row.members), "member"), *shown]


def _server_facts(row: McpServerRow) -> list[str]:
    marks = [mark for mark in ("public", "trusted") if getattr(row, f"is_{mark}")]
    health = [row.health["status"]] if row.health else []
    return [row.url or f"command {row.command}", *health, *marks]


def _secret_facts(row: SecretRow) -> list[str]:
    hosts = f"for {', '.join(row.hosts)}" if row.hosts else "for no host"
    tools = [f"in {', '.join(row.tools)}"] if row.tools else []
    return [f"secret://{row.name}", hosts, *tools]


GROUP_PAGES = DefinitionPages(
    path="/groups",
    texts={
        "title": "Groups",
        "noun": "group",
        "lead": "People who answer requests together. Assign a request to a group, and the first "
        "member who answers it decides. Admins define groups.",
        "empty": "Without groups, each request is assigned to one person, or to the owner of the "
        "execution.",
        "delete": "Possible while no open request and no task names it.",
    },
    store=ResourceStore(GROUPS, GroupCreate, GroupUpdate),
    model=GroupCreate,
    sections=(
        Section(
            "",
            (
                Field(
                    "name",
                    "Name",
                    "Lowercase letters, digits, dots, - and _. Requests name it as "
                    "group:NAME, so it can't be changed later.",
                    is_short=True,
                    is_fixed=True,
                ),
                Field("description", "Description"),
                Field("members", "Members", "Users by the name that they sign in with."),
                Field(
                    "working_hours",
                    "Working hours",
                    "Due times and reminders count only this time. "
                    "Leave all fields empty for the whole week.",
                ),
            ),
        ),
    ),
    read_row=GROUPS.body_fields,
    facts=_group_facts,
    list_rows=GROUPS.page,
    key="group_id",
    for_admins=True,
)

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
                Field("name", "Name", "Lowercase letters, digits and dashes.", is_short=True),
                Field("description", "Description"),
                Field("url", "URL", "Such as https://mcp.example.com/mcp.", is_short=True),
                Field(
                    "command",
                    "Command",
                    "Instead of a URL: a program that a worker starts.",
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
                    "Headers",
                    f"Such as Authorization with Bearer secret://shop. {_STORED_VALUES}",
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
    facts=_server_facts,
    list_rows=MCP_SERVERS.page,
    key="server_id",
    template="mcp_server.html.j2",
)

SECRET_PAGES = DefinitionPages(
    path="/secrets",
    texts={
        "title": "Secrets",
        "noun": "secret",
        "lead": "Passwords and tokens for tools and MCP servers. They are stored encrypted, never "
        "shown again, and sent only to the hosts that you name.",
        "empty": "Store a token here, and write secret://NAME where it is needed.",
        "delete": "Executions that use it fail from now on, with a clear error.",
    },
    store=SecretStore(SECRETS, SecretForm, SecretPut),
    model=SecretForm,
    sections=(
        Section(
            "",
            (
                Field(
                    "name",
                    "Name",
                    "Lowercase letters, digits, _, . and -.",
                    is_short=True,
                    is_fixed=True,
                ),
                Field(
                    "value",
                    "Value",
                    "It is never shown again. To change where it may be used, enter it again.",
                ),
                Field(
                    "hosts",
                    "Hosts",
                    "It may be sent to these hosts only; *.example.com means every subdomain.",
                ),
                Field("tools", "Tools", "Tools that may receive it, such as web_fetch."),
            ),
        ),
    ),
    read_row=lambda row: {"hosts": row.hosts, "tools": row.tools},
    facts=_secret_facts,
    list_rows=SECRETS.page,
    key="name",
    key_kind=SecretName,
    key_of=lambda row: row.name,
)

TOOL_GROUP_PAGES = DefinitionPages(
    path="/tool-groups",
    texts={
        "title": "Tool groups",
        "noun": "tool group",
        "lead": "Lists of tool rules under a name. A task names one as group:NAME in its lists of "
        "tools, and gets the rules that the group has then.",
        "empty": "Collect rules that several tasks need, such as bash(git status) and "
        "mcp__github__search.",
        "delete": "Tasks keep the rules that they have, until their lists are changed.",
    },
    store=ResourceStore(TOOL_GROUPS, ToolGroupCreate, ToolGroupUpdate),
    model=ToolGroupCreate,
    sections=(
        Section(
            "",
            (
                Field("name", "Name", "Lowercase letters, digits and dashes.", is_short=True),
                Field("description", "Description", is_short=True),
                Field("tools", "Tools", "Rules such as read_file or bash(git status)."),
            ),
        ),
    ),
    read_row=TOOL_GROUPS.body_fields,
    facts=lambda row: [f"group:{row.name}", count_of(len(row.tools), "rule")],
    list_rows=TOOL_GROUPS.page,
    key="tool_group_id",
)

for kind in (GROUP_PAGES, SERVER_PAGES, SECRET_PAGES, TOOL_GROUP_PAGES):
    kind.add_to(router)


@router.post("/mcp-servers/{server_id}/check", dependencies=[FORM_IS_OWN])
async def check_server(visit: Visiting, server_id: UUID) -> Response:
    """Connect to a server and list its tools."""
    call = visit.call
    check = call.gateway.mcp_health.check
    await mcp_health.check_mcp_server(call.services, call.caller, check, server_id)
    return pages.redirect(f"/mcp-servers/{server_id}/edit")


@router.get("/remembered-decisions")
async def list_decisions(request: Request, visit: Visiting) -> Response:
    """The remembered decisions that the viewer may revoke, newest first."""
    query = read_query(request, RememberedQuery)
    narrowed = RememberedFilter.model_validate(query.filters())
    async with visit.call.gateway.database.reading() as session:
        caller, window = visit.call.caller, query.window()
        page = await REMEMBERED_DECISIONS.page(session, caller, narrowed, window)
        titles = await _find_titles(session, page.rows)
    items = [render_rule(visit.call, row) for row in page.rows]
    shown: dict[str, Any] = {"list": make_list(visit, query, page, items), "titles": titles}
    shown["is_filtered"] = any(query.filters().values())
    return pages.render("remembered_decisions.html.j2", **visit.layout, **shown)


@router.post("/remembered-decisions/{rule_id}/revoke", dependencies=[FORM_IS_OWN])
async def revoke_decision(visit: Visiting, rule_id: UUID) -> Response:
    """Revoke a remembered decision."""
    await visit.perform(lambda work: REMEMBERED_DECISIONS.delete(work, rule_id, lambda _: None))
    return pages.redirect("/remembered-decisions")


async def _find_titles(
    session: AsyncSession, rows: Sequence[RememberedDecisionRow]
) -> Mapping[UUID, str]:
    """The names of the tasks and the titles of the executions that decisions apply to."""
    ids = [row.execution_id for row in rows if row.execution_id]
    titles = await queries.find_titles(session, ids)
    names = await tasks.find_names(session, [row.task_id for row in rows if row.task_id])
    return {**titles, **names}
