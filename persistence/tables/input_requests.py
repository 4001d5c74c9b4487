"""Input requests: questions and approvals that a person must answer."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class InputRequestRow(Row):
    """A question or approval. An approval is bound to `input_sha256`."""

    __tablename__ = "input_requests"
    __table_args__ = (
        Index("ix_input_requests_user_id_status_id", "user_id", "status", "id"),
        Index("ix_input_requests_execution_id_status", "execution_id", "status"),
        Index(
            "ix_input_requests_assignee_status_id",
            "assignee",
            "status",
            "id",
            postgresql_where=text("assignee IS NOT NULL"),
        ),
        Index("ix_input_requests_due_at", "due_at", postgresql_where=text("status = 'open'")),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    tool_call_id: Mapped[UUID | None] = mapped_column(ForeignKey("tool_calls.id"))
    kind: Mapped[str]
    title: Mapped[str]
    body: Mapped[str | None]
    options: Mapped[Any | None]
    schema: Mapped[dict[str, Any] | None]
    tool_name: Mapped[str | None]
    tool_input: Mapped[str | None] = mapped_column(Text)
    input_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    tool_input_schema: Mapped[dict[str, Any] | None]
    """The schema of an edited input."""
    assignee: Mapped[str | None]
    status: Mapped[str]
    due_at: Mapped[datetime | None]
    on_expiry: Mapped[str]
    default_answer: Mapped[Any | None]
    answer: Mapped[dict[str, Any] | None]
    answered_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    answered_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
