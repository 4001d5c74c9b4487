"""Schedules as clients read them, from the task and from the state in Temporal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from api.http.schemas import Read, from_row
from domain.schedules import cron
from domain.schedules.schedule import ScheduleState, TaskSchedule
from persistence.definitions.scheduled_runs import ScheduledRun
from persistence.definitions.schedules import schedule_of
from persistence.tables.definitions import TaskRow
from services.scheduling.scheduled_runs import SkipReason

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


SHOWN_RUNS = 10
"""Next and recent runs that a schedule shows (chosen)."""

NO_SCHEDULE = "This task has no schedule; set is_scheduled and schedule_cron."
INACTIVE = "The task is inactive (is_active is false), so no runs start."
PAUSED = "The schedule is paused (schedule_enabled is false); resume it to start runs."
NOT_SYNCHRONISED = (
    "The last change has not reached Temporal yet; the worker sends it within a minute."
)
CANNOT_RUN = (
    "The last run did not start, because the task cannot run as it is; a dry run shows what to "
    "change."
)
NO_ANSWER = "Temporal does not answer; the next runs are calculated here, and counts are missing."


def render_schedule(
    row: TaskRow,
    *,
    is_synchronised: bool,
    server_state: ScheduleState | None,
    runs: Sequence[ScheduledRun],
    skipped: int,
    warnings: Sequence[str],
) -> ScheduleRead:
    """One task's schedule. `server_state` None: Temporal did not answer."""
    wanted = schedule_of(row, None)
    state = _state(
        wanted,
        is_synchronised=is_synchronised and (server_state is None or server_state.is_as_wanted),
    )
    return from_row(
        ScheduleRead,
        row,
        task_id=row.id,
        cron=row.schedule_cron,
        timezone=row.schedule_timezone,
        state=state,
        overlap_policy=row.schedule_overlap_policy,
        catchup_window_seconds=round(wanted.catchup_window.total_seconds()) if wanted else 0,
        jitter_seconds=row.schedule_jitter_seconds or 0,
        next_fires=_next_fires(wanted, state, server_state),
        recent_fires=[FireRead.model_validate(run) for run in runs],
        missed_count=server_state and server_state.missed,
        skipped_count=server_state and server_state.skipped + skipped,
        buffered=server_state and server_state.buffered,
        running=None if server_state is None else len(server_state.running),
        note=_note(row, state, runs, server_state) or next(iter(warnings), None),
    )


def render_schedule_line(row: TaskRow, *, is_synchronised: bool) -> ScheduleLine:
    """A schedule in a list, without data from Temporal."""
    wanted = schedule_of(row, None)
    state = _state(wanted, is_synchronised=is_synchronised)
    return from_row(
        ScheduleLine,
        row,
        task_id=row.id,
        task_name=row.name,
        cron=row.schedule_cron,
        timezone=row.schedule_timezone,
        state=state,
        overlap_policy=row.schedule_overlap_policy,
        next_fire_at=next(iter(_list_fires(wanted, 1)), None),
    )


def _state(wanted: TaskSchedule | None, *, is_synchronised: bool) -> State:
    if not is_synchronised:
        return "out_of_step"
    if wanted is None:
        return "none"
    return "paused" if wanted.is_paused else "active"


def _next_fires(
    wanted: TaskSchedule | None, state: State, server_state: ScheduleState | None
) -> list[datetime]:
    """The run times from Temporal, including jitter, if it is available and has the schedule."""
    if state == "active" and server_state is not None:
        return list(server_state.next_fires)[:SHOWN_RUNS]
    return _list_fires(wanted, SHOWN_RUNS)


def _list_fires(wanted: TaskSchedule | None, count: int) -> list[datetime]:
    """What the cron expression says; nothing where nothing will fire."""
    if wanted is None or wanted.is_paused:
        return []
    times = cron.fires(wanted.cron, ZoneInfo(wanted.timezone), datetime.now(UTC))
    return list(islice(times, count))


def _note(
    row: TaskRow,
    state: State,
    runs: Sequence[ScheduledRun],
    server_state: ScheduleState | None,
) -> str | None:
    if state == "none":
        return NO_SCHEDULE
    if state == "out_of_step":
        return NOT_SYNCHRONISED
    if not row.is_active:
        return INACTIVE
    if state == "paused":
        return PAUSED
    if runs and runs[0].reason == SkipReason.INVALID_INPUT:
        return CANNOT_RUN
    return NO_ANSWER if server_state is None else None
