"""Runs that a schedule starts: the execution, why one is skipped, and the prompt's variables."""

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.definitions import TaskDefinition
from domain import templates
from domain.errors import QuotaExceededError, UserDisabledError
from persistence.definitions import scheduled_runs, schedules, tasks
from persistence.definitions.scheduled_runs import Firing
from persistence.definitions.tasks import StoredTask
from persistence.executions import creation
from persistence.executions.creation import Start, Work
from persistence.ledger.audit import ENGINE
from persistence.tables.tasks import TaskRow
from services import quotas
from services.quotas import Quotas

REPORT_CHARS = 8_000
"""The length of `{{last_report}}`: some pages, far less than a prompt can hold (chosen)."""

SCHEDULE_VARIABLES = frozenset({"scheduled_at", "last_success_at", "last_report"})
"""Variables that the prompts of scheduled tasks have without being given them."""


class SkipReason(StrEnum):
    """Why a schedule fired and started no execution."""

    TASK_DELETED = "task_deleted"
    TASK_INACTIVE = "task_inactive"
    NOT_SCHEDULED = "not_scheduled"
    PAUSED = "paused"
    QUOTA_EXCEEDED = "quota_exceeded"
    USER_DISABLED = "user_disabled"


def work_of(task: StoredTask) -> Work:
    """The newest version of a task, as work."""
    return Work(
        definition=TaskDefinition.model_validate(task.definition),
        title=task.row.name,
        is_inline=False,
        task_id=task.row.id,
        task_version=task.row.version,
        tags=task.row.tags,
        is_scheduled=task.row.is_scheduled,
    )


async def start_scheduled(session: AsyncSession, firing: Firing, defaults: Quotas) -> UUID | None:
    """Store the execution of a firing and return its id, or store a skip and return None.

    A repeated call returns what the first one stored. `defaults` are the operator's quotas.
    """
    found = await scheduled_runs.find(session, firing)
    if found is not None:
        return found.execution_id
    task = await tasks.find(session, firing.task_id)
    reason = await _find_skip_reason(session, task, defaults)
    if task is None or reason is not None:
        await scheduled_runs.store_skip(session, firing, reason or SkipReason.TASK_DELETED)
        return None
    start = Start(
        work=work_of(task),
        user_id=task.row.user_id,
        actor=ENGINE,
        action="schedule.fire",
        trigger_type="scheduled",
        trigger_metadata={"scheduled_at": format_time(firing.scheduled_at)},
        workflow_id=firing.workflow_id,
        first_run_id=firing.first_run_id,
    )
    start = await with_schedule_variables(session, start, firing.scheduled_at)
    return (await creation.store(session, start)).id


async def with_schedule_variables(
    session: AsyncSession, start: Start, scheduled_at: datetime
) -> Start:
    """The start with the schedule variables that the prompt of a scheduled task uses.

    A value from the caller is used first, then the schedule's, then the task's default, then the
    empty text. The last run is one of the same user.
    """
    work = start.work
    if not work.is_scheduled:
        return start
    used = SCHEDULE_VARIABLES.intersection(templates.names(work.definition.prompt_template))
    used -= start.variables.keys()
    if not used:
        return start
    values: dict[str, Any] = {"scheduled_at": format_time(scheduled_at)}
    if used - {"scheduled_at"}:
        last = await scheduled_runs.find_last_success(session, work.task_id, start.user_id)
        if last is not None:
            values["last_success_at"] = format_time(last.completed_at)
            values["last_report"] = last.text[:REPORT_CHARS]
    for name in SCHEDULE_VARIABLES - values.keys() - work.definition.default_variables.keys():
        values[name] = ""
    return replace(start, known_variables={n: value for n, value in values.items() if n in used})


def format_time(time: datetime) -> str:
    """A time as prompts and clients see it: UTC, whole seconds, `Z`."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


async def _find_skip_reason(
    session: AsyncSession, task: StoredTask | None, defaults: Quotas
) -> SkipReason | None:
    if task is None:
        return SkipReason.TASK_DELETED
    if (reason := await _find_disabled_reason(session, task.row)) is not None:
        return reason
    try:
        await quotas.check(session, task.row.user_id, defaults)
    except QuotaExceededError:
        return SkipReason.QUOTA_EXCEEDED
    except UserDisabledError:
        return SkipReason.USER_DISABLED
    return None


async def _find_disabled_reason(session: AsyncSession, row: TaskRow) -> SkipReason | None:
    if not row.is_active:
        return SkipReason.TASK_INACTIVE
    if not row.is_scheduled:
        return SkipReason.NOT_SCHEDULED
    if row.schedule_enabled:
        return None
    schedule = await schedules.find(session, row.id)
    # If Temporal has the schedule as paused, this run was requested by a backfill.
    return None if schedule is not None and schedule.is_synchronised else SkipReason.PAUSED
