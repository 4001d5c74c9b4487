"""Schedules of tasks: how they stand, and what may be asked of them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.field_types import Read

State = Literal["active", "paused", "none", "out_of_step"]
"""`out_of_step`: Temporal has not been told of the last change; upkeep does it within a minute."""


class FireRead(BaseModel):
    """One fire. A skipped one has no execution and says why."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    scheduled_at: datetime
    started_at: datetime | None
    execution_id: UUID | None
    status: str
    reason: str | None


class ScheduleLine(Read):
    """A schedule in a list. `next_fire_at` is by the clock, before jitter."""

    task_id: UUID
    task_name: str
    cron: str | None
    timezone: str
    state: State
    overlap_policy: str
    next_fire_at: datetime | None


class ScheduleRead(Read):
    """A task's schedule. What Temporal counts is null while it can't be asked.

    `missed_count`: due while nobody could start them, past the catch-up window. `skipped_count`:
    met one that still ran, or were refused here. Both begin when the schedule is first made.
    """

    task_id: UUID
    cron: str | None
    timezone: str
    state: State
    overlap_policy: str
    catchup_window_seconds: int
    jitter_seconds: int
    next_fires: list[datetime]
    recent_fires: list[FireRead]
    missed_count: int | None
    skipped_count: int | None
    buffered: int | None
    running: int | None
    note: str | None


class BackfillRead(Read):
    """A backfill that was accepted, and how many fires it means."""

    id: UUID
    task_id: UUID
    start_at: datetime
    end_at: datetime
    overlap_policy: str
    fires: int
