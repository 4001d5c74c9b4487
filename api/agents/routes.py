"""Routes of agents: the built-in ones, and users' own."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.agents.schemas import AgentImported, AgentRead
from api.agents.views import render_agent, respond_imported
from api.http.bodies import JsonBody
from api.http.dry_run import DryRun
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery
from api.http.rendering import render_page
from api.http.request_context import Called
from api.http.resource_routes import EditableResourceRoutes
from services.definitions import agents
from services.definitions.agents import AGENTS
from services.definitions.inputs import AgentImport, Slug

router = APIRouter(prefix="/agents", tags=["agents"])


class AgentQuery(ListQuery):
    """Filters of a list of agents."""

    is_builtin: bool | None = None


async def _key(agent_id: Slug) -> str:
    return agent_id


routes = EditableResourceRoutes(router, AGENTS, AgentRead, render_agent, "/{agent_id}", _key)
routes.add_create("Create an agent of your own.")
routes.add_get("Get an agent.")
routes.add_update(
    "Change an agent of your own. Executions in progress keep the prompt they started with."
)
routes.add_delete(
    "Delete an agent of your own. Tasks that name it cannot be executed until they are changed."
)


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
