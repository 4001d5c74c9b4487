"""Tool groups as clients read them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.schemas import Read


class ToolGroupRead(Read):
    """A list of tool rules."""

    paths = {"self": "/tool-groups/{id}"}

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    tools: list[str]
    rule: Annotated[str, Field(description="What to write in a task's lists of tools.")]
    created_at: datetime
    updated_at: datetime
