"""Schedules as clients see them: what the task says, beside what Temporal tells."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from api import links
from api.schedules.schemas import FireRead, ScheduleLine, ScheduleRead, State
from domain import cron
from domain.schedules import ScheduleState, TaskSchedule
from persistence.definitions.scheduled_runs import ScheduledRun
from persistence.definitions.schedules import schedule_of
from persistence.tables.tasks import TaskRow

SHOWN_FIRES = 10
"""Next and recent ones (contract.md, section 2)."""

NO_SCHEDULE = "The task has no schedule: set is_scheduled and schedule_cron."
INACTIVE = "The task is switched off (is_active), so nothing fires."
PAUSED = "It is paused (schedule_enabled is false): resume it to let it fire."
UNTOLD = "Temporal has not been told of the last change; that is mended within a minute."
AWAY = "Temporal can't be asked just now: the fire times are worked out here, counts are missing."


def schedule(
    row: TaskRow,
    *,
    is_told: bool,
    stands: ScheduleState | None,
    fires: Sequence[ScheduledRun],
    skips: int,
) -> ScheduleRead:
    """One task's schedule. `is_told`: Temporal knows the last change. `stands` None: it is away."""
    wanted = schedule_of(row, None)
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
    """A schedule in a list; Temporal is not asked."""
    wanted = schedule_of(row, None)
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
    """As Temporal tells them, with their jitter, where it can be asked and knows the schedule."""
    if state == "active" and stands is not None:
        return list(stands.next_fires)[:SHOWN_FIRES]
    return _by_the_clock(wanted, SHOWN_FIRES)


def _by_the_clock(wanted: TaskSchedule | None, count: int) -> list[datetime]:
    """What the cron expression says; nothing where nothing will fire."""
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
    """How often the schedule fires in the span, both ends included; counted up to `limit`."""
    just_before = start_at - datetime.resolution
    times = cron.fires(wanted.cron, ZoneInfo(wanted.timezone), just_before)
    within = takewhile(lambda time: time <= end_at, times)
    return sum(1 for _ in islice(within, limit))
