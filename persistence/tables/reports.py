"""Stored report content; renderings are made on demand."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ReportRow(Row):
    """A report's typed content as JSON, stored once.

    Lists don't read `content` (up to 2 MB each); `persistence.reporting.reports` reads it.
    """

    __tablename__ = "reports"
    __table_args__ = (
        Index("ix_reports_user_id_id", "user_id", "id"),
        Index("ix_reports_user_id_task_id_id", "user_id", "task_id", "id"),
        Index("ix_reports_user_id_format_id", "user_id", "format", "id"),
        Index("ix_reports_execution_id", "execution_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"))
    task_id: Mapped[UUID | None]
    """The execution's, so that a task's reports are found by index."""
    title: Mapped[str]
    format: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(deferred=True, deferred_raiseload=True)
    created_at: Mapped[CreatedAt]
