"""Routes of agents: the built-in ones, and users' own."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.agents.schemas import AgentQuery, AgentRead, render_agent
from api.http.bodies import JsonBody
from api.http.files import download_headers
from api.http.idempotency import run_service
from api.http.paging import Listing
from api.http.rendering import DryRun, render_page
from api.http.request_context import Call, Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import answer
from api.links import BASE
from services.definitions import agents
from services.definitions.agents import AGENTS, ImportedAgent
from services.definitions.inputs import AgentCreate, AgentImport, AgentUpdate, Slug

MARKDOWN = "text/markdown; charset=utf-8"


class AgentImported(AgentRead):
    """An agent from a file; `ignored` lists what the file says that has no meaning here."""

    ignored: list[str]


async def respond_imported(call: Call, _: AsyncSession, agent: ImportedAgent) -> Response:
    """Respond with 201 if the agent is new, else with 200."""
    read = AgentImported(**dict(render_agent(call, agent.row)), ignored=list(agent.ignored))
    return answer(read, 201 if agent.is_new else 200, {"Location": read.links["self"]})


router = APIRouter(prefix=f"{BASE}/agents", tags=["agents"])


@router.get("", responses={200: {"model": Listing[AgentRead]}})
async def list_agents(call: Called, query: Annotated[AgentQuery, Query()]) -> Response:
    """List your agents, newest first, and then the built-in ones."""
    async with call.gateway.database.reading() as session:
        page = await AGENTS.page(session, call.caller, query.window(), is_builtin=query.is_builtin)
    return render_page(call, query, page, render_agent)


@router.post(
    "/import",
    status_code=201,
    responses={
        200: {"model": AgentImported, "description": "An existing agent was replaced, or dry run."},
        201: {"model": AgentImported},
    },
)
async def import_agent(
    call: Called,
    body: Annotated[AgentImport, Depends(JsonBody(AgentImport))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create an agent from a Markdown file with front matter, as coding agents use.

    Tools and models are translated (`Read`, `Bash(git:*)`, `sonnet`).
    """
    service = partial(agents.import_agent, body=body)
    return await run_service(call, service, respond_imported, dry_run=dry_run)


@router.get(
    "/{agent_id}/export",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
async def export_agent(call: Called, agent_id: Slug) -> Response:
    """Get an agent as a Markdown file with front matter, which an import reads back unchanged."""
    async with call.gateway.database.reading() as session:
        markdown = await agents.export_agent(session, call.caller, agent_id)
    return Response(markdown, media_type=MARKDOWN, headers=download_headers(f"{agent_id}.md"))


# After `/import`: the router takes the first path that matches.
routes = ResourceRoutes(
    router, "agent", AgentRead, render_agent, "/{agent_id}", path_key("agent_id", Slug)
)
routes.add_create(AGENTS.create, AgentCreate, "Create an agent of your own.")
routes.add_get(AGENTS.find, "Get an agent.")
routes.add_update(
    AGENTS.update,
    AgentUpdate,
    "Change an agent of your own. Executions in progress keep the prompt they started with.",
)
routes.add_delete(
    AGENTS.delete,
    "Delete an agent of your own. Tasks that name it cannot be executed until they are changed.",
)
