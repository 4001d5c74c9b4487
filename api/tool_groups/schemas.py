"""Request and response bodies of tool groups."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.agents.schemas import Slug
from services.definitions.inputs import Tools
from services.field_types import Body, Read, Text


class ToolGroupCreate(Body):
    """A new tool group. Tasks refer to it as `group:NAME` in their tool lists."""

    name: Slug
    description: Text | None = None
    tools: Tools


class ToolGroupUpdate(Body):
    """Changes to a group. They apply to a task when its tool lists are stored again."""

    name: Slug | None = None
    description: Text | None = None
    tools: Tools | None = None


class ToolGroupRead(Read):
    """A tool group: a named list of tool rules."""

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    tools: list[str]
    rule: Annotated[str, Field(description="The reference to use in the tool lists of a task.")]
    created_at: datetime
    updated_at: datetime
