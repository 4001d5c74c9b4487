"""Notifications and their delivery attempts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class NotificationRow(Row):
    """One message to one target.

    A trigger writes it in the transaction of its event. `message_id` is the first delivery's id; a
    redelivery is a row of its own with the same `message_id`. `payload` is written before the first
    attempt and sent with each. At `start_at` the relay checks the delivery, until it has ended.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index("ix_notifications_user_id_id", "user_id", "id"),
        Index("ix_notifications_user_id_status_id", "user_id", "status", "id"),
        Index("ix_notifications_user_id_kind_id", "user_id", "kind", "id"),
        Index("ix_notifications_user_id_execution_id_id", "user_id", "execution_id", "id"),
        Index("ix_notifications_execution_id", "execution_id"),
        Index(
            "uq_notifications_event_target",
            "execution_id",
            "event_seq",
            "kind",
            "position",
            unique=True,
            postgresql_where=text("id = message_id"),
        ),
        Index("ix_notifications_start_at", "start_at", postgresql_where=text("status = 'pending'")),
    )

    id: Mapped[Id]
    message_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    event_seq: Mapped[int | None]
    type: Mapped[str]
    kind: Mapped[str]
    position: Mapped[int]
    target: Mapped[dict[str, Any]]
    payload: Mapped[dict[str, Any] | None]
    status: Mapped[str]
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    start_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]


class NotificationAttemptRow(Row):
    """One attempt. Without a duration it is in progress, or its worker crashed."""

    __tablename__ = "notification_attempts"
    __table_args__ = (
        Index(
            "uq_notification_attempts_notification_id_number",
            "notification_id",
            "number",
            unique=True,
        ),
    )

    id: Mapped[Id]
    notification_id: Mapped[UUID] = mapped_column(ForeignKey("notifications.id"))
    number: Mapped[int]
    started_at: Mapped[CreatedAt]
    duration_ms: Mapped[int | None]
    status_code: Mapped[int | None]
    error: Mapped[str | None]
    excerpt: Mapped[str | None]
