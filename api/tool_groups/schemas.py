"""Tool groups: what a client writes, and what it reads."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.agents.schemas import Slug
from services.definitions.inputs import Tools
from services.field_types import Body, Read, Text


class ToolGroupCreate(Body):
    """A new list of tool rules. Tasks name it as `group:NAME` in their lists of tools."""

    name: Slug
    description: Text | None = None
    tools: Tools


class ToolGroupUpdate(Body):
    """Changes to a group; tasks take them over when their lists of tools are written again."""

    name: Slug | None = None
    description: Text | None = None
    tools: Tools | None = None


class ToolGroupRead(Read):
    """A list of tool rules."""

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    tools: list[str]
    rule: Annotated[str, Field(description="What stands for it in a task's lists of tools.")]
    created_at: datetime
    updated_at: datetime
