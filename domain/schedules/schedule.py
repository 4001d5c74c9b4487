"""Schedules: the desired schedule of a task, and its state in Temporal.

The gateway and the worker both synchronise Temporal with the task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from domain.executions.dispatch import WorkflowFacts

OverlapPolicy = Literal[
    "skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"
]
"""What happens to a fire while the previous one still runs."""

DEFAULT_CATCHUP = timedelta(hours=1)
"""A missed fire still runs within this time (chosen: a laptop that opens at 9:40 still runs the
task of nine o'clock). The default of the server is a year, which would run very old reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSchedule(WorkflowFacts):
    """The desired schedule of one task; the facts are those of its workflows."""

    task_id: UUID
    cron: str
    timezone: str
    is_paused: bool
    overlap_policy: OverlapPolicy
    catchup_window: timedelta
    jitter: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """The state of a schedule in Temporal. The counts start at its creation there.

    `missed` fires could not start within the catch-up window; `skipped` ones overlapped a running
    one. `buffered` ones wait for the running one; `running` contains workflow ids.
    """

    is_as_wanted: bool
    next_fires: Sequence[datetime] = ()
    missed: int = 0
    skipped: int = 0
    buffered: int = 0
    running: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Backfill:
    """A request to run all fires of a schedule from `start_at` to `end_at`."""

    id: UUID
    task_id: UUID
    start_at: datetime
    end_at: datetime
    overlap_policy: OverlapPolicy


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences between tasks and Temporal: missing or different schedules, and unknown ones."""

    differing: Sequence[UUID]
    unknown: Sequence[UUID]
