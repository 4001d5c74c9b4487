"""Build the Temporal schedule of a task, and compare it with the one that Temporal has."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleIntervalSpec,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)

from contracts import names, policies
from contracts.execution import ExecutionInput
from domain.schedules import cron
from domain.schedules.clock_changes import LocalHour, find_repeated_hours, list_covered_years
from domain.schedules.cron import Calendar
from domain.schedules.schedule import TaskSchedule
from runtime.dispatch import details, priority, search_attributes, summary

FIRST_YEAR, LAST_YEAR = 2000, 2100
"""The years of Temporal's calendars."""

NOTE = "Managed by Perdure: change the task, and this schedule follows."


def schedule_of(wanted: TaskSchedule) -> Schedule:
    """Return the schedule as Temporal stores it. Its note hashes what a list does not show."""
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    return Schedule(
        action=ScheduleActionStartWorkflow(
            names.TASK_EXECUTION,
            ExecutionInput(task_id=wanted.task_id),
            id=names.scheduled_workflow_id(wanted.task_id),
            task_queue=names.EXECUTIONS_QUEUE,
            typed_search_attributes=search_attributes(wanted),
            static_summary=summary(wanted),
            static_details=details(wanted),
            priority=priority(wanted),
            task_timeout=policies.WORKFLOW_TASK,
        ),
        spec=_spec(wanted),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy[wanted.overlap_policy.upper()],
            catchup_window=wanted.catchup_window,
        ),
        state=ScheduleState(paused=wanted.is_paused, note=f"{NOTE} ({digest})"),
    )


def task_id_of(entry: ScheduleListDescription) -> UUID | None:
    """Return the task of a schedule, or None if Perdure did not create the schedule."""
    action = entry.schedule.action if entry.schedule else None
    if getattr(action, "workflow", None) != names.TASK_EXECUTION:
        return None
    try:
        task_id = UUID(entry.id.removeprefix("task-"))
    except ValueError:
        return None
    return task_id if entry.id == names.schedule_id(task_id) else None


def is_as_listed(entry: ScheduleListDescription, wanted: TaskSchedule) -> bool:
    """Return whether the parts of a schedule that a list shows are as wanted."""
    found, ours = entry.schedule, schedule_of(wanted)
    return found is not None and (
        (found.spec, found.state.paused, found.state.note)
        == (ours.spec, ours.state.paused, ours.state.note)
    )


def is_as_described(described: ScheduleDescription, wanted: TaskSchedule) -> bool:
    """Return whether a schedule is as wanted. Details of its action are compared by the hash."""
    found, ours = described.schedule, schedule_of(wanted)
    if not isinstance(found.action, ScheduleActionStartWorkflow):
        return False
    return (found.spec, found.policy, found.state.paused, found.state.note, found.action.id) == (
        ours.spec,
        ours.policy,
        ours.state.paused,
        ours.state.note,
        names.scheduled_workflow_id(wanted.task_id),
    )


def _spec(wanted: TaskSchedule) -> ScheduleSpec:
    """Return the cron expression as calendars, but the runs in repeated hours as intervals.

    An interval of N seconds counts from 1970: its first time is the Unix time N.
    """
    zone = ZoneInfo(wanted.timezone)
    calendars = cron.calendars(wanted.cron)
    runs = {
        hour: cron.times_in_hour(calendars, hour, zone)
        for year in list_covered_years()
        for hour in sorted(find_repeated_hours(zone, year))
    }
    return ScheduleSpec(
        calendars=[
            _calendar_spec(part, years, wanted.cron)
            for calendar in calendars
            for part, years in _exclude(calendar, list(runs))
        ],
        intervals=[
            ScheduleIntervalSpec(every=timedelta(seconds=time.timestamp()))
            for times in runs.values()
            for time in times
        ],
        jitter=wanted.jitter or None,
        time_zone_name=wanted.timezone,
    )


def _exclude(
    calendar: Calendar, hours: Sequence[LocalHour]
) -> Sequence[tuple[Calendar, Sequence[int]]]:
    """Return calendars that together match what `calendar` matches outside these hours.

    Each comes with the years in which it applies; an empty list means every year.
    """
    dates = sorted({day for day, hour in hours if calendar.has(day) and hour in calendar.hours})
    if not dates:
        return [(calendar, [])]
    years = {day.year for day in dates}
    parts = [(calendar, [y for y in range(FIRST_YEAR, LAST_YEAR + 1) if y not in years])]
    for year in years:
        months = {day.month for day in dates if day.year == year}
        parts.append((replace(calendar, months=_minus(calendar.months, months)), [year]))
        for month in months:
            days = {day.day for day in dates if (day.year, day.month) == (year, month)}
            rest = replace(calendar, months=[month], days=_minus(calendar.days, days))
            parts.append((rest, [year]))
    for date in dates:
        repeated = {hour for day, hour in hours if day == date}
        left = _minus(calendar.hours, repeated)
        part = replace(calendar, months=[date.month], days=[date.day], hours=left)
        parts.append((part, [date.year]))
    return [(part, years) for part, years in parts if part.months and part.days and part.hours]


def _minus(values: Sequence[int], removed: set[int]) -> Sequence[int]:
    return [value for value in values if value not in removed]


def _calendar_spec(
    calendar: Calendar, years: Sequence[int], expression: str
) -> ScheduleCalendarSpec:
    """Return a calendar as Temporal stores it, so that both compare."""
    return ScheduleCalendarSpec(
        second=_ranges([0]),
        minute=_ranges(calendar.minutes),
        hour=_ranges(calendar.hours),
        day_of_month=_ranges(calendar.days),
        month=_ranges(calendar.months),
        day_of_week=_ranges(calendar.weekdays),
        year=_ranges(years) if years else (),
        comment=expression,
    )


def _ranges(values: Sequence[int]) -> tuple[ScheduleRange, ...]:
    """Return one range if the values have equal distances, otherwise one for each unbroken run."""
    steps = {second - first for first, second in pairwise(values)} or {1}
    if len(steps) == 1:
        return (ScheduleRange(values[0], values[-1], steps.pop()),)
    starts = [0, *(i for i in range(1, len(values)) if values[i] > values[i - 1] + 1)]
    ends = [*(start - 1 for start in starts[1:]), len(values) - 1]
    return tuple(
        ScheduleRange(values[start], values[end]) for start, end in zip(starts, ends, strict=True)
    )
