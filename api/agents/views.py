"""Agents, from rows to what clients read."""

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.agents.schemas import AgentImported, AgentRead
from api.http.request_context import Call
from api.http.responses import answer
from api.http.schemas import from_row
from domain.agents import BUILT_IN_SLUGS
from persistence.tables.definitions import AgentRow
from services.definitions.agents import ImportedAgent


def render_agent(_: Call, row: AgentRow) -> AgentRead:
    """Return an agent as clients read it; the row of a built-in one is in no table."""
    is_builtin = row.slug in BUILT_IN_SLUGS
    return from_row(AgentRead, row, agent_id=row.slug, is_builtin=is_builtin)


async def respond_imported(call: Call, _: AsyncSession, agent: ImportedAgent) -> Response:
    """Respond with 201 if the agent is new, else with 200."""
    read = AgentImported(**dict(render_agent(call, agent.row)), ignored=list(agent.ignored))
    return answer(read, 201 if agent.is_new else 200, {"Location": read.links["self"]})
