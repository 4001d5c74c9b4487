"""Conversations."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.executions.schemas import MessageRead
from api.http.paging import ListQuery
from services.executions.inputs import Word
from services.field_types import Read

LATEST = 100
MOST = 1_000
"""Messages of one answer (chosen: a thousand of 2 KB are 2 MB)."""


class SessionQuery(ListQuery):
    """What a list of conversations can be narrowed by."""

    is_interactive: bool | None = None
    agent_id: Word | None = None


class MessageQuery(BaseModel):
    """How many of the latest messages."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST)] = LATEST


class Transcript(Read):
    """The latest messages, oldest first."""

    items: list[MessageRead]


class SessionRead(Read):
    """A conversation."""

    id: UUID
    user_id: UUID
    name: str
    title: str | None
    agent_id: str | None
    sdk_options: dict[str, Any] | None
    is_interactive: bool
    created_at: datetime
    updated_at: datetime
