"""Fires of schedules: the execution of one, or why there is none; and what their prompts know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.definitions import TaskDefinition
from domain import templates
from domain.errors import QuotaExceededError, UserDisabledError
from persistence.definitions import schedules, tasks
from persistence.definitions.tasks import StoredTask
from persistence.executions import creation
from persistence.executions.creation import Start, Work
from persistence.ledger import quotas
from persistence.ledger.audit import ENGINE
from persistence.ledger.quotas import Quotas
from persistence.tables.executions import ExecutionRow
from persistence.tables.schedules import ScheduleSkipRow
from persistence.tables.tasks import TaskRow

REPORT_CHARS = 8_000
"""Of `{{last_report}}`: some pages, far below what a prompt can hold (chosen)."""

COUNTED_SKIPS = 10_000
"""Skips are counted up to here, as lists are (contract.md, section 1)."""

SCHEDULED: ColumnElement[str] = literal_column("'scheduled'")
COMPLETED: ColumnElement[str] = literal_column("'completed'")
"""As literals, so that the planner sees which partial index holds them."""


class SkipReason(StrEnum):
    """Why a fire made no execution."""

    TASK_DELETED = "task_deleted"
    TASK_INACTIVE = "task_inactive"
    NOT_SCHEDULED = "not_scheduled"
    PAUSED = "paused"
    QUOTA_EXCEEDED = "quota_exceeded"
    USER_DISABLED = "user_disabled"


@dataclass(frozen=True, slots=True)
class Firing:
    """One fire: of which task, in which workflow, and when it was due."""

    task_id: UUID
    workflow_id: str
    first_run_id: str
    scheduled_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A fire as it is told: `execution` is empty for one that was skipped, for `reason`."""

    scheduled_at: datetime
    started_at: datetime | None
    execution_id: UUID | None
    status: str
    reason: str | None = None


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


async def store_scheduled(session: AsyncSession, fire: Firing, defaults: Quotas) -> UUID | None:
    """Make the fire's execution and return its id, or None with a record of the skip.

    A repeat finds what the first one made: the key is the workflow id with its first run, since a
    backfill over a finished fire has the same workflow id.
    """
    found = await _stored(session, fire)
    if found is not None:
        return found.execution_id
    task = await tasks.find(session, fire.task_id)
    reason = await _reason(session, task, defaults)
    if task is None or reason is not None:
        await _skip(session, fire, reason or SkipReason.TASK_DELETED)
        return None
    start = Start(
        work=work_of(task),
        user_id=task.row.user_id,
        actor=ENGINE,
        action="schedule.fire",
        trigger_type="scheduled",
        trigger_metadata={"scheduled_at": format_time(fire.scheduled_at)},
        workflow_id=fire.workflow_id,
        first_run_id=fire.first_run_id,
    )
    row = await creation.store(
        session, await with_schedule_variables(session, start, fire.scheduled_at)
    )
    return row.id


async def with_schedule_variables(
    session: AsyncSession, start: Start, scheduled_at: datetime
) -> Start:
    """The start with what the prompt of a scheduled task knows by itself, as far as it asks.

    What the caller gives stands first, then what is known, then the task's defaults, and where
    there is none of these the empty text. The last run is the user's own.
    """
    work = start.work
    if not work.is_scheduled:
        return start
    asked = SCHEDULE_VARIABLES.intersection(templates.names(work.definition.prompt_template))
    asked -= start.variables.keys()
    if not asked:
        return start
    values: dict[str, Any] = {"scheduled_at": format_time(scheduled_at)}
    if asked - {"scheduled_at"}:
        values |= await _last_success(session, start)
    for name in SCHEDULE_VARIABLES - values.keys() - work.definition.default_variables.keys():
        values[name] = ""
    known = {name: value for name, value in values.items() if name in asked}
    return replace(start, known_variables=known)


async def recent(session: AsyncSession, task_id: UUID, *, limit: int) -> Sequence[ScheduledRun]:
    """The latest fires, newest first: those that ran and those that were skipped."""
    ran = await session.scalars(
        select(ExecutionRow)
        .where(ExecutionRow.task_id == task_id, ExecutionRow.trigger_type == SCHEDULED)
        .order_by(ExecutionRow.id.desc())
        .limit(limit)
    )
    skipped = await session.scalars(
        select(ScheduleSkipRow)
        .where(ScheduleSkipRow.task_id == task_id)
        .order_by(ScheduleSkipRow.id.desc())
        .limit(limit)
    )
    found = [(row.id, _ran(row)) for row in ran]
    found += [(row.id, _skipped(row)) for row in skipped]
    found.sort(key=lambda pair: pair[0], reverse=True)
    return [fired for _, fired in found[:limit]]


async def skips(session: AsyncSession, task_id: UUID) -> int:
    """How many fires were skipped here, counted up to `COUNTED_SKIPS`."""
    some = select(ScheduleSkipRow.id).where(ScheduleSkipRow.task_id == task_id).limit(COUNTED_SKIPS)
    return await session.scalar(select(func.count()).select_from(some.subquery())) or 0


def format_time(time: datetime) -> str:
    """A time as prompts and clients see it: UTC, whole seconds, `Z`."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


SCHEDULE_VARIABLES = frozenset({"scheduled_at", "last_success_at", "last_report"})
"""What the prompts of scheduled tasks know by themselves."""


async def _stored(session: AsyncSession, fire: Firing) -> ScheduledRun | None:
    ran = await session.scalar(
        select(ExecutionRow).where(
            ExecutionRow.workflow_id == fire.workflow_id,
            ExecutionRow.first_run_id == fire.first_run_id,
        )
    )
    if ran is not None:
        return _ran(ran)
    skipped = await session.scalar(
        select(ScheduleSkipRow).where(
            ScheduleSkipRow.workflow_id == fire.workflow_id,
            ScheduleSkipRow.first_run_id == fire.first_run_id,
        )
    )
    return None if skipped is None else _skipped(skipped)


async def _reason(
    session: AsyncSession, task: StoredTask | None, defaults: Quotas
) -> SkipReason | None:
    """Why this fire may not run."""
    if task is None:
        return SkipReason.TASK_DELETED
    if (reason := await _switched_off(session, task.row)) is not None:
        return reason
    try:
        await quotas.check(session, task.row.user_id, defaults)
    except QuotaExceededError:
        return SkipReason.QUOTA_EXCEEDED
    except UserDisabledError:
        return SkipReason.USER_DISABLED
    return None


async def _switched_off(session: AsyncSession, row: TaskRow) -> SkipReason | None:
    if not row.is_active:
        return SkipReason.TASK_INACTIVE
    if not row.is_scheduled:
        return SkipReason.NOT_SCHEDULED
    if row.schedule_enabled:
        return None
    kept = await schedules.find(session, row.id)
    # Where Temporal knows that it is paused, somebody has asked for this fire, by a backfill.
    return None if kept is not None and kept.is_in_step else SkipReason.PAUSED


async def _skip(session: AsyncSession, fire: Firing, reason: SkipReason) -> None:
    session.add(
        ScheduleSkipRow(
            task_id=fire.task_id,
            workflow_id=fire.workflow_id,
            first_run_id=fire.first_run_id,
            scheduled_at=fire.scheduled_at,
            reason=reason,
        )
    )
    await session.flush()


async def _last_success(session: AsyncSession, start: Start) -> Mapping[str, str]:
    """When the last scheduled run that completed ended, and what it answered."""
    last = (
        await session.execute(
            select(ExecutionRow.completed_at, ExecutionRow.result_data)
            .where(
                ExecutionRow.task_id == start.work.task_id,
                ExecutionRow.trigger_type == SCHEDULED,
                ExecutionRow.status == COMPLETED,
                ExecutionRow.user_id == start.user_id,
            )
            .order_by(ExecutionRow.id.desc())
            .limit(1)
        )
    ).one_or_none()
    if last is None:
        return {}
    report = str((last.result_data or {}).get("text", ""))[:REPORT_CHARS]
    return {"last_success_at": format_time(last.completed_at), "last_report": report}


def _ran(row: ExecutionRow) -> ScheduledRun:
    due = row.trigger_metadata.get("scheduled_at")
    scheduled_at = datetime.fromisoformat(due) if isinstance(due, str) else row.created_at
    return ScheduledRun(scheduled_at, row.started_at, row.id, row.status)


def _skipped(row: ScheduleSkipRow) -> ScheduledRun:
    return ScheduledRun(row.scheduled_at, None, None, "skipped", row.reason)
