"""Agents as clients read them."""

from datetime import datetime
from uuid import UUID

from domain.agents import AgentExecutor
from services.field_types import Read


class AgentRead(Read):
    """An agent; a built-in one has no times."""

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
