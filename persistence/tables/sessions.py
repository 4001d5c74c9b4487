"""Conversations and their transcripts."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class SessionRow(Row):
    """A conversation. `workspace_host_id` is the host of its workspace, if it has one."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user_id_id", "user_id", "id"),
        Index("ix_sessions_user_id_agent_id_id", "user_id", "agent_id", "id"),
        # Few among the many that one execution each has made.
        Index(
            "ix_sessions_user_id_id_interactive",
            "user_id",
            "id",
            postgresql_where=text("is_interactive IS true"),
        ),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    title: Mapped[str | None]
    agent_id: Mapped[str | None]
    sdk_options: Mapped[dict[str, Any] | None]
    is_interactive: Mapped[bool] = mapped_column(default=False)
    workspace_host_id: Mapped[UUID | None]
    forked_from_session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id"))
    """A fork shares this session's messages up to `forked_at_seq`, as they were at `forked_at`."""
    forked_at_seq: Mapped[int | None]
    forked_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]


class MessageRow(Row):
    """One message. `content` is the JSON text of its blocks, unchanged.

    A reset of the execution supersedes rows; nothing else changes one.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index(
            "uq_messages_session_id_seq",
            "session_id",
            "seq",
            unique=True,
            postgresql_where=text("superseded_at IS NULL"),
        ),
        Index("ix_messages_execution_id_seq", "execution_id", "seq"),
        # Forks still count what was superseded after them.
        Index(
            "ix_messages_superseded",
            "session_id",
            "seq",
            postgresql_where=text("superseded_at IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    session_id: Mapped[UUID]
    execution_id: Mapped[UUID]
    seq: Mapped[int]
    role: Mapped[str]
    content: Mapped[str] = mapped_column(Text)  # ASCII by construction; kept to the byte
    model: Mapped[str | None]
    stop_reason: Mapped[str | None]
    usage: Mapped[dict[str, Any] | None]
    cost_usd: Mapped[Decimal | None]
    request_id: Mapped[str | None]
    superseded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
