"""Named lists of tool rules."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ToolGroupRow(Row):
    """A user's list of tool rules, which tasks name as `group:NAME`."""

    __tablename__ = "tool_groups"
    __table_args__ = (
        Index("uq_tool_groups_user_id_name", "user_id", "name", unique=True),
        Index("ix_tool_groups_user_id_id", "user_id", "id"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    description: Mapped[str | None]
    tools: Mapped[list[str]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
