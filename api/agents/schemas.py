"""Request and response bodies of agents."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from domain.agents import LONGEST_SLUG, SLUG, AgentExecutor
from services.definitions.inputs import Name, Prompt, Tags, Tools
from services.field_types import Body, Read, Text

Slug = Annotated[str, Field(min_length=1, max_length=LONGEST_SLUG, pattern=SLUG)]
Model = Annotated[str, Field(min_length=1, max_length=200)]
Capabilities = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=50)
]

LONGEST_FILE = 200_000
"""Maximum characters of an agent file (chosen: the longest public ones have about 30,000)."""


class AgentCreate(Body):
    """A new agent. Its tools apply to ad-hoc executions; a task has its own tools."""

    agent_id: Slug
    name: Name
    description: Text = ""
    system_prompt: Prompt
    model: Model | None = None
    allowed_tools: Tools = ()
    executor: AgentExecutor = "claude"
    capabilities: Capabilities = ()
    tags: Tags = ()


class AgentUpdate(Body):
    """Changes to an agent. Omitted fields do not change; other fields are replaced completely."""

    name: Name | None = None
    description: Text | None = None
    system_prompt: Prompt | None = None
    model: Model | None = None
    allowed_tools: Tools | None = None
    executor: AgentExecutor | None = None
    capabilities: Capabilities | None = None
    tags: Tags | None = None


class AgentImport(Body):
    """An agent file: Markdown with front matter, the format of coding agents."""

    markdown: Annotated[str, Field(min_length=1, max_length=LONGEST_FILE)]
    replace: Annotated[bool, Field(description="If an agent with this name exists, change it.")] = (
        False
    )


class AgentRead(Read):
    """An agent. The times of built-in agents are null."""

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
    """An agent created from a file, and the fields of the file that are not supported."""

    ignored: list[str]
