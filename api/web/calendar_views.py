"""The calendar of schedules: a row for each task, a column for each day, in the viewer's zone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from persistence.tables.definitions import TaskRow
from services.scheduling.calendar import ScheduleFires, read_fires

DAYS = 14
"""Of a calendar: a week before today and a week from today on."""

MOST_MARKS = 4
"""Of a day in a row; more are shown as numbers (chosen: as many as a cell holds)."""


@dataclass(frozen=True, slots=True)
class FireMark:
    """One run, or one time without a run."""

    at: datetime
    status: str
    execution_id: UUID | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CalendarCell:
    """A day of a schedule: its marks, or how many there are of each status."""

    marks: Sequence[FireMark]
    counts: Mapping[str, int]


def first_day(given: date | None, zone: ZoneInfo) -> date:
    """The first day of the calendar: a week ago, unless the viewer has chosen another one."""
    today = datetime.now(zone).date()
    earliest, latest = today - timedelta(days=366), today + timedelta(days=366)
    chosen = given or today - timedelta(days=DAYS // 2)
    return min(max(chosen, earliest), latest)


async def make_calendar(
    session: AsyncSession, tasks: Sequence[TaskRow], first: date, zone: ZoneInfo
) -> Mapping[str, Any]:
    """The days, and a row of cells for each task."""
    days = [first + timedelta(days=number) for number in range(DAYS)]
    start, end = (
        datetime.combine(day, time(), zone).astimezone(UTC)
        for day in (first, first + timedelta(days=DAYS))
    )
    fires = await read_fires(session, tasks, start, end)
    return {
        "days": days,
        "today": datetime.now(zone).date(),
        "rows": [(row, _make_cells(fires[row.id], days, zone), fires[row.id]) for row in tasks],
        "earlier": first - timedelta(days=DAYS // 2),
        "later": first + timedelta(days=DAYS // 2),
    }


def _make_cells(found: ScheduleFires, days: Sequence[date], zone: ZoneInfo) -> list[CalendarCell]:
    marks = [
        FireMark(run.scheduled_at, run.status, run.execution_id, run.reason or "")
        for run in found.runs
    ]
    marks += [
        FireMark(at, "skipped", reason="overlap") if kind == "overlap" else FireMark(at, kind)
        for at, kind in found.others
    ]
    by_day: dict[date, list[FireMark]] = {day: [] for day in days}
    for mark in sorted(marks, key=lambda mark: mark.at):
        by_day.setdefault(mark.at.astimezone(zone).date(), []).append(mark)
    return [_make_cell(by_day[day]) for day in days]


def _make_cell(marks: Sequence[FireMark]) -> CalendarCell:
    is_short = len(marks) <= MOST_MARKS
    counts = {} if is_short else Counter(mark.status for mark in marks)
    return CalendarCell(marks if is_short else (), counts)
