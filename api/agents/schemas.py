"""Agents as clients read them."""

from datetime import datetime
from uuid import UUID

from api.http.paging import ResourceQuery
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from definitions.tasks import MemoryPolicy, NetworkPolicy
from domain.agents.agent import BUILT_IN_SLUGS, AgentExecutor
from persistence.tables.definitions import AgentRow


class AgentRead(Read):
    """An agent; a built-in one has no times."""

    paths = {
        "self": "/agents/{agent_id}",
        "executions": "/task-executions?agent_id={agent_id}",
        "export": "/agents/{agent_id}/export",
        "pending": "/agents/{agent_id}/pending",
    }

    agent_id: str
    name: str
    description: str
    system_prompt: str
    model: str | None
    allowed_tools: list[str]
    network: NetworkPolicy | None
    memory: MemoryPolicy | None
    executor: AgentExecutor
    capabilities: list[str]
    tags: list[str]
    is_builtin: bool
    user_id: UUID | None
    created_at: datetime | None
    updated_at: datetime | None


def render_agent(_: Call, row: AgentRow) -> AgentRead:
    """Return an agent as clients read it; the row of a built-in one is in no table."""
    is_builtin = row.slug in BUILT_IN_SLUGS
    return from_row(AgentRead, row, agent_id=row.slug, is_builtin=is_builtin)


class AgentQuery(ResourceQuery):
    """Filters of a list of agents."""

    is_builtin: bool | None = None
