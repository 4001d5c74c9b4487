"""Agents: what a client writes, and what it reads."""

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
"""Characters of an agent's file (chosen: the longest in public collections have some 30,000)."""


class AgentCreate(Body):
    """A new agent. Its tools are for ad-hoc work; a task that names it has tools of its own."""

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
    """Changes to an agent: a field that is left out stays, one that is given is replaced whole."""

    name: Name | None = None
    description: Text | None = None
    system_prompt: Prompt | None = None
    model: Model | None = None
    allowed_tools: Tools | None = None
    executor: AgentExecutor | None = None
    capabilities: Capabilities | None = None
    tags: Tags | None = None


class AgentImport(Body):
    """An agent's file: Markdown with front matter, as coding agents keep them."""

    markdown: Annotated[str, Field(min_length=1, max_length=LONGEST_FILE)]
    replace: Annotated[
        bool, Field(description="Change the agent of this name where there is one.")
    ] = False


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
    """An agent made from a file, and what of the file has no meaning here."""

    ignored: list[str]
