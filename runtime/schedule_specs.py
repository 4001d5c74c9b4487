"""Build the Temporal schedule of a task, and compare it with the one that Temporal has."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)

from contracts import names
from contracts.execution import ExecutionInput
from domain import cron
from domain.schedules import TaskSchedule
from runtime.dispatch import priority, search_attributes, summary

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
            priority=priority(wanted),
        ),
        spec=ScheduleSpec(
            calendars=_calendars(wanted.cron),
            jitter=wanted.jitter or None,
            time_zone_name=wanted.timezone,
        ),
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


def _calendars(expression: str) -> list[ScheduleCalendarSpec]:
    """Return the calendars of a cron expression as Temporal stores them, so that both compare."""
    return [
        ScheduleCalendarSpec(
            second=_ranges([0]),
            minute=_ranges(calendar.minutes),
            hour=_ranges(calendar.hours),
            day_of_month=_ranges(calendar.days),
            month=_ranges(calendar.months),
            day_of_week=_ranges(calendar.weekdays),
            comment=expression,
        )
        for calendar in cron.calendars(expression)
    ]


def _ranges(values: Sequence[int]) -> tuple[ScheduleRange, ...]:
    """Return one range if the values have equal distances, otherwise one for each value."""
    steps = {second - first for first, second in pairwise(values)} or {1}
    if len(steps) == 1:
        return (ScheduleRange(values[0], values[-1], steps.pop()),)
    return tuple(ScheduleRange(value) for value in values)
