"""Hooks: secret addresses that execute a task."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, OwnedRow


class HookRow(OwnedRow):
    """A hook of a task, for the task's owner. Only the hash of its token is stored."""

    __tablename__ = "hooks"
    __table_args__ = (
        Index("uq_hooks_token_sha256", "token_sha256", unique=True),
        Index("ix_hooks_task_id_id", "task_id", "id"),
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    name: Mapped[str | None]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[datetime | None]
