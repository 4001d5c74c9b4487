"""Schedules: what Temporal has of them, skipped runs, and backfills."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ScheduleRow(Row):
    """The schedule of a task that has one or had one.

    The task defines the schedule. Each change is a new `revision`, in the transaction of the
    change. If `applied_revision` is the same, Temporal has the newest one.
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
    """A scheduled run that was skipped, and why; identified by its workflow, as an execution is."""

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
    """Without a foreign key: a restored database may lack a task whose schedule still runs."""
    workflow_id: Mapped[str]
    first_run_id: Mapped[str]
    scheduled_at: Mapped[datetime]
    reason: Mapped[str]
    created_at: Mapped[CreatedAt]


class ScheduleBackfillRow(Row):
    """A requested backfill; `sent_at` is when Temporal got it."""

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
