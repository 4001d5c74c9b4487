"""What Temporal has been told of tasks' schedules, and the fires that came to nothing."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ScheduleRow(Row):
    """How far Temporal is behind a task that has, or had, a schedule.

    What the schedule is to be stands in the task; every change of that is one more `revision`, in
    the transaction of the change. In step: `applied_revision` is the same.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        Index(
            "ix_schedules_unsynchronised",
            "changed_at",
            postgresql_where=text("revision <> applied_revision"),
        ),
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    revision: Mapped[int]
    applied_revision: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[CreatedAt]


class ScheduleSkipRow(Row):
    """A fire that made no execution, and why; known by its workflow, as an execution is."""

    __tablename__ = "schedule_skips"
    __table_args__ = (
        Index("ix_schedule_skips_task_id_id", "task_id", "id"),
        Index(
            "uq_schedule_skips_workflow_id_first_run_id",
            "workflow_id",
            "first_run_id",
            unique=True,
        ),
    )

    id: Mapped[Id]
    task_id: Mapped[UUID]
    """Without a foreign key: a restored database may lack the task whose schedule still fires."""
    workflow_id: Mapped[str]
    first_run_id: Mapped[str]
    scheduled_at: Mapped[datetime]
    reason: Mapped[str]
    created_at: Mapped[CreatedAt]


class ScheduleBackfillRow(Row):
    """Fires that somebody wants made up for; `sent_at` is when Temporal was told."""

    __tablename__ = "schedule_backfills"
    __table_args__ = (
        Index("ix_schedule_backfills_unsent", "id", postgresql_where=text("sent_at IS NULL")),
    )

    id: Mapped[Id]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    start_at: Mapped[datetime]
    end_at: Mapped[datetime]
    overlap_policy: Mapped[str]
    created_at: Mapped[CreatedAt]
    sent_at: Mapped[datetime | None]
