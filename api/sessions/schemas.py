"""Request and response bodies of sessions."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.executions.schemas import MessageRead
from api.http.paging import ListQuery
from api.http.schemas import Read
from services.executions.inputs import Word

LATEST = 100
MOST = 1_000
"""Maximum messages per response (chosen: a thousand with 2 KB each are 2 MB)."""


class SessionQuery(ListQuery):
    """Filters for sessions."""

    is_interactive: bool | None = None
    agent_id: Word | None = None


class MessageQuery(BaseModel):
    """The number of messages to return."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST)] = LATEST


class Transcript(Read):
    """The latest messages, oldest first."""

    paths = {"self": "/sessions/{session_id}/messages", "session": "/sessions/{session_id}"}

    items: list[MessageRead]


class SessionRead(Read):
    """A session."""

    paths = {
        "self": "/sessions/{id}",
        "messages": "/sessions/{id}/messages",
        "tasks": "/sessions/{id}/tasks",
        "executions": "/task-executions?session_id={id}",
    }

    id: UUID
    user_id: UUID
    name: str
    title: str | None
    agent_id: str | None
    sdk_options: dict[str, Any] | None
    is_interactive: bool
    created_at: datetime
    updated_at: datetime
