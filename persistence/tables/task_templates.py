"""Templates that tasks are made from."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class TaskTemplateRow(Row):
    """A task's body with parameters. `task` and `parameters` are kept as they were sent."""

    __tablename__ = "task_templates"
    __table_args__ = (
        Index("uq_task_templates_user_id_name", "user_id", "name", unique=True),
        Index("ix_task_templates_user_id_id", "user_id", "id"),
        Index("ix_task_templates_public", "id", postgresql_where=text("is_public")),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    description: Mapped[str | None]
    is_public: Mapped[bool]
    parameters: Mapped[Any]
    task: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
