"""When schedules fire, have fired, and should have fired, for a calendar."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from domain.schedules import cron
from persistence.definitions import scheduled_runs, schedules
from persistence.definitions.scheduled_runs import ScheduledRun
from persistence.tables.definitions import TaskRow

FREQUENT = 24
"""A schedule with more runs on one day is shown by its runs: its times are too many to compare
one by one (chosen)."""

GRACE = timedelta(minutes=2)
"""A run that is later than this was missed: the worker may have been busy (chosen)."""

Missing = Literal["coming", "missed", "overlap"]
"""Why there is no run at a time: it is to come; it did not start; another run was active."""


@dataclass(frozen=True, slots=True)
class ScheduleFires:
    """The runs of one schedule, and the times at which there is none."""

    runs: Sequence[ScheduledRun]
    others: Sequence[tuple[datetime, Missing]]
    is_frequent: bool


async def read_fires(
    session: AsyncSession, tasks: Sequence[TaskRow], start: datetime, end: datetime
) -> Mapping[UUID, ScheduleFires]:
    """The runs of these scheduled tasks that were due between two times, by task."""
    ids = [row.id for row in tasks]
    runs = await scheduled_runs.list_due_between(session, ids, start, end)
    changed = await schedules.find_changes(session, ids)
    now = datetime.now(UTC)
    fires: dict[UUID, ScheduleFires] = {}
    for row in tasks:
        given = (row, runs.get(row.id, ()), changed.get(row.id, now), (start, end, now))
        fires[row.id] = await asyncio.to_thread(compare_fires, *given)
    return fires


def compare_fires(
    row: TaskRow,
    runs: Sequence[ScheduledRun],
    changed_at: datetime,
    times: tuple[datetime, datetime, datetime],
) -> ScheduleFires:
    """Compare the runs with the cron expression, since the schedule was changed last."""
    start, end, now = times
    wanted = schedules.schedule_of(row, None)
    if wanted is None or wanted.is_paused:
        return ScheduleFires(runs, (), is_frequent=False)
    zone = ZoneInfo(wanted.timezone)
    first = max(start, changed_at)
    day = islice(cron.fires(wanted.cron, zone, first), FREQUENT + 1)
    if len(list(takewhile(lambda at: at < first + timedelta(days=1), day))) > FREQUENT:
        return ScheduleFires(runs, (), is_frequent=True)
    fires = takewhile(lambda at: at < end, cron.fires(wanted.cron, zone, first))
    late = wanted.jitter + timedelta(minutes=1)
    return ScheduleFires(runs, list(_find_missing(fires, runs, late, now)), is_frequent=False)


def _find_missing(
    fires: Iterator[datetime], runs: Sequence[ScheduledRun], late: timedelta, now: datetime
) -> Iterator[tuple[datetime, Missing]]:
    for at in fires:
        if at > now:
            yield at, "coming"
        elif at + late + GRACE < now and not any(at <= r.scheduled_at < at + late for r in runs):
            yield at, "overlap" if any(_was_active(run, at) for run in runs) else "missed"


def _was_active(run: ScheduledRun, at: datetime) -> bool:
    has_begun = run.execution_id is not None and run.scheduled_at < at
    return has_begun and (run.completed_at is None or run.completed_at > at)
