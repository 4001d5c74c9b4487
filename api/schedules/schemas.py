"""Request and response bodies of schedules."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from api.http.schemas import Read

State = Literal["active", "paused", "none", "out_of_step"]
"""`out_of_step`: Temporal does not have the last change yet; a worker sends it within a minute."""


SCHEDULE_PATHS = {
    "self": "/tasks/{task_id}/schedule",
    "task": "/tasks/{task_id}",
    "executions": "/task-executions?task_id={task_id}&trigger_type=scheduled",
    "pause": "/tasks/{task_id}/schedule/pause",
    "resume": "/tasks/{task_id}/schedule/resume",
    "trigger": "/tasks/{task_id}/schedule/trigger",
    "backfill": "/tasks/{task_id}/schedule/backfill",
}


class FireRead(BaseModel):
    """A scheduled run. A skipped run has a reason instead of an execution."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    scheduled_at: datetime
    started_at: datetime | None
    execution_id: UUID | None
    status: str
    reason: str | None


class ScheduleLine(Read):
    """A schedule in a list. `next_fire_at` does not include jitter."""

    paths = SCHEDULE_PATHS

    task_id: UUID
    task_name: str
    cron: str | None
    timezone: str
    state: State
    overlap_policy: str
    next_fire_at: datetime | None


class ScheduleRead(Read):
    """The schedule of a task. Counts are null while Temporal is unavailable.

    `missed_count`: runs that were due during an outage and exceeded the catch-up window.
    `skipped_count`: runs that were skipped because another run was active, or that were refused.
    Both count from the creation of the schedule.
    """

    paths = SCHEDULE_PATHS

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
    """An accepted backfill and its number of runs."""

    paths = {
        "schedule": "/tasks/{task_id}/schedule",
        "task": "/tasks/{task_id}",
        "executions": "/task-executions?task_id={task_id}&trigger_type=scheduled",
    }

    id: UUID
    task_id: UUID
    start_at: datetime
    end_at: datetime
    overlap_policy: str
    fires: int
