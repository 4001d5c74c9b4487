"""Tasks and their immutable versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CleanText, CreatedAt, Id, Row


class TaskRow(Row):
    """A task: its name, whether it is active, its schedule. Its definition is in the version."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "uq_tasks_user_id_name_current",
            "user_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_tasks_user_id_id", "user_id", "id"),
        Index("ix_tasks_public", "id", postgresql_where=text("is_public AND deleted_at IS NULL")),
        Index("ix_tasks_tags", "tags", postgresql_using="gin"),
        Index(
            "ix_tasks_scheduled",
            "user_id",
            "id",
            postgresql_where=text("is_scheduled AND deleted_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    description: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(CleanText), default=list)
    version: Mapped[int]
    is_public: Mapped[bool]
    is_active: Mapped[bool]
    is_scheduled: Mapped[bool]
    schedule_cron: Mapped[str | None]
    schedule_timezone: Mapped[str]
    schedule_enabled: Mapped[bool]
    schedule_overlap_policy: Mapped[str]
    schedule_catchup_window_seconds: Mapped[int | None]
    schedule_jitter_seconds: Mapped[int | None]
    entered_tools: Mapped[dict[str, Any] | None]
    """The tool lists that name a group, as they were sent; the version has the rules."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]


class TaskVersionRow(Row):
    """The definition that an execution runs, a `TaskDefinition`. It never changes."""

    __tablename__ = "task_versions"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
