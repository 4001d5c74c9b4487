"""Agents as clients read them."""

from datetime import datetime
from uuid import UUID

from api.http.schemas import Read
from domain.agents import AgentExecutor


class AgentRead(Read):
    """An agent; a built-in one has no times."""

    paths = {
        "self": "/agents/{agent_id}",
        "executions": "/task-executions?agent_id={agent_id}",
    }

    agent_id: str
    name: str
    description: str
    system_prompt: str
    model: str | None
    allowed_tools: list[str]
    executor: AgentExecutor
    capabilities: list[str]
    tags: list[str]
    is_builtin: bool
    user_id: UUID | None
    created_at: datetime | None
    updated_at: datetime | None


class AgentImported(AgentRead):
    """An agent from a file; `ignored` lists what the file says that has no meaning here."""

    ignored: list[str]
