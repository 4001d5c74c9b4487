"""Schedules: what a task's schedule in Temporal is to be, and how it stands there.

The gateway and the worker both synchronise Temporal with the task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from domain.dispatch import WorkflowFacts

OverlapPolicy = Literal[
    "skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"
]
"""What happens to a fire while the one before it still runs."""

DEFAULT_CATCHUP = timedelta(hours=1)
"""A fire that was missed is made up for this long; the server's own default is a year, which would
run last winter's reports (chosen: a laptop that opens at 9:40 still runs what was due at nine)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSchedule(WorkflowFacts):
    """What Temporal is to hold for one task; the facts are those of its fires' workflows."""

    task_id: UUID
    cron: str
    timezone: str
    is_paused: bool
    overlap_policy: OverlapPolicy
    catchup_window: timedelta
    jitter: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """How a schedule stands in Temporal. The counts begin when it was made there.

    `missed` fires were due while nobody could start them, past the catch-up window; `skipped` ones
    met one that still ran. `buffered` ones wait for their turn, `running` are workflow ids.
    """

    is_as_wanted: bool
    next_fires: Sequence[datetime] = ()
    missed: int = 0
    skipped: int = 0
    buffered: int = 0
    running: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Backfill:
    """Fires to be made up for: all that the schedule has from `start_at` to `end_at`."""

    id: UUID
    task_id: UUID
    start_at: datetime
    end_at: datetime
    overlap_policy: OverlapPolicy


@dataclass(frozen=True, slots=True)
class Differences:
    """Between tasks and Temporal: schedules that are not there, or otherwise; and unknown ones."""

    differing: Sequence[UUID]
    unknown: Sequence[UUID]
