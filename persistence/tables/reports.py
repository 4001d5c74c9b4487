"""Stored report content; renderings are made on demand."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ReportRow(Row):
    """A report's typed content as JSON, stored once."""

    __tablename__ = "reports"
    __table_args__ = (
        Index("ix_reports_user_id_id", "user_id", "id"),
        Index("ix_reports_execution_id", "execution_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"))
    title: Mapped[str]
    format: Mapped[str]
    content: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
