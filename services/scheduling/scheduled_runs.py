"""Starts the executions of schedules, or records why a run is skipped."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import (
    InvalidInputError,
    PermissionDeniedError,
    QuotaExceededError,
    UserDisabledError,
)
from persistence.definitions import scheduled_runs, schedules, tasks
from persistence.definitions.scheduled_runs import Firing
from persistence.executions.creation import Start
from persistence.ledger.audit import ENGINE
from persistence.tables.definitions import TaskRow
from services.executions.starting import start_execution
from services.scheduling.variables import format_time, work_of
from services.unit_of_work import UnitOfWork


class SkipReason(StrEnum):
    """Why a schedule fired and started no execution."""

    TASK_DELETED = "task_deleted"
    TASK_INACTIVE = "task_inactive"
    NOT_SCHEDULED = "not_scheduled"
    PAUSED = "paused"
    INVALID_INPUT = "invalid_input"
    QUOTA_EXCEEDED = "quota_exceeded"
    USER_DISABLED = "user_disabled"


async def start_scheduled(work: UnitOfWork, firing: Firing) -> UUID | None:
    """Start the execution of a firing and return its id, or store a skip and return None.

    It passes the same checks as a requested start. A repeated call returns what the first one
    stored.
    """
    found = await scheduled_runs.find(work.session, firing)
    if found is not None:
        return found.execution_id
    result = await _start_or_skip(work, firing)
    if isinstance(result, SkipReason):
        await scheduled_runs.store_skip(work.session, firing, result)
        return None
    return result


async def _start_or_skip(work: UnitOfWork, firing: Firing) -> UUID | SkipReason:
    task = await tasks.find(work.session, firing.task_id)
    if task is None:
        return SkipReason.TASK_DELETED
    if (reason := await _find_skip_reason(work.session, task.row)) is not None:
        return reason
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
    try:
        return (await start_execution(work, start, scheduled_at=firing.scheduled_at)).id
    except (InvalidInputError, PermissionDeniedError):
        return SkipReason.INVALID_INPUT
    except QuotaExceededError:
        return SkipReason.QUOTA_EXCEEDED
    except UserDisabledError:
        return SkipReason.USER_DISABLED


async def _find_skip_reason(session: AsyncSession, row: TaskRow) -> SkipReason | None:
    if not row.is_active:
        return SkipReason.TASK_INACTIVE
    if not row.is_scheduled:
        return SkipReason.NOT_SCHEDULED
    if row.schedule_enabled:
        return None
    schedule = await schedules.find(session, row.id)
    # If Temporal has the schedule as paused, this run was requested by a backfill.
    return None if schedule is not None and schedule.is_synchronised else SkipReason.PAUSED
