"""Convert schedules to response bodies, from the task and from Temporal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from api import links
from api.schedules.schemas import FireRead, ScheduleLine, ScheduleRead, State
from domain import cron
from domain.schedules import ScheduleState, TaskSchedule
from persistence.definitions.scheduled_runs import ScheduledRun
from persistence.definitions.schedules import wanted_of
from persistence.tables.tasks import TaskRow

SHOWN_FIRES = 10
"""Number of next and recent runs (contract.md, section 2)."""

NO_SCHEDULE = "The task has no schedule. Set is_scheduled and schedule_cron."
INACTIVE = "The task is inactive, so no runs start. Set is_active to true."
PAUSED = "The schedule is paused (schedule_enabled is false). Resume it to start runs."
UNTOLD = "The schedule in Temporal is outdated; a worker updates it within a minute."
AWAY = "Temporal is unavailable: run times come from the cron expression; counts are missing."


def schedule(
    row: TaskRow,
    *,
    is_told: bool,
    stands: ScheduleState | None,
    fires: Sequence[ScheduledRun],
    skips: int,
) -> ScheduleRead:
    """One task's schedule. `is_told`: Temporal knows the last change. `stands` None: it is away."""
    wanted = wanted_of(row, None)
    state = _state(wanted, is_told=is_told and (stands is None or stands.is_as_wanted))
    return ScheduleRead(
        task_id=row.id,
        cron=row.schedule_cron,
        timezone=row.schedule_timezone,
        state=state,
        overlap_policy=row.schedule_overlap_policy,
        catchup_window_seconds=round(wanted.catchup_window.total_seconds()) if wanted else 0,
        jitter_seconds=row.schedule_jitter_seconds or 0,
        next_fires=_next_fires(wanted, state, stands),
        recent_fires=[FireRead.model_validate(fired) for fired in fires],
        missed_count=stands and stands.missed,
        skipped_count=stands and stands.skipped + skips,
        buffered=stands and stands.buffered,
        running=None if stands is None else len(stands.running),
        note=_note(row, state, stands),
        links=links.schedule(row.id),
    )


def line(row: TaskRow, *, is_told: bool) -> ScheduleLine:
    """A schedule in a list, without data from Temporal."""
    wanted = wanted_of(row, None)
    state = _state(wanted, is_told=is_told)
    return ScheduleLine(
        task_id=row.id,
        task_name=row.name,
        cron=row.schedule_cron,
        timezone=row.schedule_timezone,
        state=state,
        overlap_policy=row.schedule_overlap_policy,
        next_fire_at=next(iter(_by_the_clock(wanted, 1)), None),
        links=links.schedule(row.id),
    )


def _state(wanted: TaskSchedule | None, *, is_told: bool) -> State:
    if not is_told:
        return "out_of_step"
    if wanted is None:
        return "none"
    return "paused" if wanted.is_paused else "active"


def _next_fires(
    wanted: TaskSchedule | None, state: State, stands: ScheduleState | None
) -> list[datetime]:
    """The run times from Temporal, including jitter, if it is available and has the schedule."""
    if state == "active" and stands is not None:
        return list(stands.next_fires)[:SHOWN_FIRES]
    return _by_the_clock(wanted, SHOWN_FIRES)


def _by_the_clock(wanted: TaskSchedule | None, count: int) -> list[datetime]:
    """The run times from the cron expression; empty if no runs will start."""
    if wanted is None or wanted.is_paused:
        return []
    times = cron.fires(wanted.cron, ZoneInfo(wanted.timezone), datetime.now(UTC))
    return list(islice(times, count))


def _note(row: TaskRow, state: State, stands: ScheduleState | None) -> str | None:
    if state == "none":
        return NO_SCHEDULE
    if state == "out_of_step":
        return UNTOLD
    if not row.is_active:
        return INACTIVE
    if state == "paused":
        return PAUSED
    return AWAY if stands is None else None


def fires_within(wanted: TaskSchedule, start_at: datetime, end_at: datetime, *, limit: int) -> int:
    """The number of runs in the time range, both ends inclusive; counted up to `limit`."""
    just_before = start_at - datetime.resolution
    times = cron.fires(wanted.cron, ZoneInfo(wanted.timezone), just_before)
    within = takewhile(lambda time: time <= end_at, times)
    return sum(1 for _ in islice(within, limit))
