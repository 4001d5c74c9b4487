"""Request and response bodies of notifications."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.notifications import EmailTarget, SlackTarget, WebhookTarget
from services.field_types import Body, Read


class NotificationRead(Read):
    """A message to one recipient; addresses are shown without tokens."""

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
    """An attempt. Without a duration, it is in progress or the worker crashed."""

    number: int
    started_at: datetime
    duration_ms: int | None
    status_code: int | None
    error: str | None
    excerpt: Annotated[str | None, Field(description="The beginning of the receiver's response.")]


class NotificationDetail(NotificationRead):
    """A notification with its content and all attempts."""

    payload: dict[str, Any] | None
    attempts: list[AttemptRead]


class NotificationTest(Body):
    """The recipient of a test notification: exactly one of these."""

    webhook: WebhookTarget | None = None
    email: EmailTarget | None = None
    slack: SlackTarget | None = None
