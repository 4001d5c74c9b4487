"""Notifications as clients read them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from api.http.schemas import Read


class NotificationRead(Read):
    """One message to one target; parts of URLs that may be secret are left out."""

    paths = {
        "self": "/notifications/{id}",
        "redeliver": "/notifications/{id}/redeliver",
        "execution": "/task-executions/{execution_id}",
    }

    id: UUID
    message_id: UUID
    execution_id: UUID | None
    event_seq: int | None
    type: str
    kind: str
    target: dict[str, Any]
    status: str
    error: str | None
    attempt_count: int
    next_attempt_at: datetime | None
    created_at: datetime
    completed_at: datetime | None


class AttemptRead(BaseModel):
    """One attempt. It has no duration while it is in progress, or if the worker died during it."""

    number: int
    started_at: datetime
    duration_ms: int | None
    status_code: int | None
    error: str | None
    excerpt: Annotated[str | None, Field(description="The start of the receiver's response.")]


class NotificationDetail(NotificationRead):
    """A notification with its payload and its attempts."""

    payload: dict[str, Any] | None
    attempts: list[AttemptRead]
