"""Templates from which tasks are created."""

from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

from persistence.tables.columns import NamedRow


class TaskTemplateRow(NamedRow):
    """A task's body with parameters. `task` and `parameters` are stored as they were sent."""

    KIND = "a task template"
    __tablename__ = "task_templates"
    __table_args__ = (
        Index("uq_task_templates_user_id_name", "user_id", "name", unique=True),
        Index("ix_task_templates_user_id_id", "user_id", "id"),
        Index("ix_task_templates_public", "id", postgresql_where=text("is_public")),
    )

    is_public: Mapped[bool]
    parameters: Mapped[Any]
    task: Mapped[dict[str, Any]]
