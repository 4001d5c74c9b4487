"""Notifications: what was to be told to whom, and what came of it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.notifications import EmailTarget, SlackTarget, WebhookTarget
from services.field_types import Body, Read


class NotificationRead(Read):
    """One message to one target; of addresses only what holds no token."""

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
    """One try. Without a duration it is under way, or the worker died in it."""

    number: int
    started_at: datetime
    duration_ms: int | None
    status_code: int | None
    error: str | None
    excerpt: Annotated[str | None, Field(description="How the receiver's answer begins.")]


class NotificationDetail(NotificationRead):
    """A notification with what is sent and every try."""

    payload: dict[str, Any] | None
    attempts: list[AttemptRead]


class NotificationTest(Body):
    """Whom to send a sample: one of these."""

    webhook: WebhookTarget | None = None
    email: EmailTarget | None = None
    slack: SlackTarget | None = None
