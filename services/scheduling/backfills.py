"""Backfills of schedules."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.ids import new_id
from domain.schedules import cron
from domain.schedules.clock_changes import find_repeated_hours, list_covered_years
from domain.schedules.schedule import Backfill, TaskSchedule
from persistence.definitions import schedules
from services.definitions import task_rules
from services.executions.access import get_own_task
from services.executions.inputs import BackfillBody
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

MAX_RUNS = 1000
"""Runs of one backfill: a wrong year in a date must not start half a million (chosen)."""

MAX_AGE = timedelta(days=3653)
"""How far back a backfill may start: ten years (chosen)."""


_refusal = partial(refuse_field, "This backfill is not possible; see errors.")


@dataclass(frozen=True, slots=True)
class PlannedBackfill:
    """A stored backfill, and how many runs it starts."""

    backfill: Backfill
    runs: int


async def backfill(work: UnitOfWork, task_id: UUID, body: BackfillBody) -> PlannedBackfill:
    """Start the runs of a past time range, even while the schedule is paused.

    Raises:
        ConflictError: it has no schedule.
    """
    task = await get_own_task(work.session, work.caller, task_id)
    runs = _count_runs(task_rules.require_schedule(task.row), body)
    planned = Backfill(new_id(), task_id, body.start_at, body.end_at, body.overlap_policy)
    await schedules.store_backfill(work.session, planned)
    await work.record_audit(
        "schedule.backfill",
        ("task", task_id),
        after={**body.model_dump(mode="json"), "fires": runs},
        owner_id=task.row.user_id,
    )
    work.send_backfill(planned)
    return PlannedBackfill(planned, runs)


def _count_runs(schedule: TaskSchedule, body: BackfillBody) -> int:
    if body.start_at >= body.end_at:
        raise _refusal("start_at", "It must be before end_at.")
    now = datetime.now(UTC)
    if body.start_at < now - MAX_AGE:
        raise _refusal("start_at", "It must be within the last ten years.")
    if body.end_at > now:
        raise _refusal("end_at", "It must be in the past; future runs start by themselves.")
    just_before = body.start_at - datetime.resolution
    zone = ZoneInfo(schedule.timezone)
    within = takewhile(
        lambda time: time <= body.end_at, cron.fires(schedule.cron, zone, just_before)
    )
    runs = list(islice(within, MAX_RUNS + 1))
    if len(runs) > MAX_RUNS:
        raise _refusal("start_at", f"The range has more than {MAX_RUNS} runs; make it shorter.")
    for local in (time.astimezone(zone) for time in runs):
        _check_clock(local, zone)
    return len(runs)


def _check_clock(local: datetime, zone: ZoneInfo) -> None:
    """Refuse a run that Temporal would start at another time or twice."""
    years = list_covered_years()
    if local.year not in years and (local.date(), local.hour) in find_repeated_hours(
        zone, local.year
    ):
        raise _refusal(
            "start_at",
            f"The clock of {zone.key} is set back on {local.date()}, and runs of that hour are "
            f"possible from {years.start} on. Use ranges that do not include {local:%H}:00.",
        )
