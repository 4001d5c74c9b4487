"""The runs of schedules: executions that a schedule started, and runs that were skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import first_id_at
from persistence.tables.definitions import ScheduleSkipRow
from persistence.tables.executions import ExecutionRow

COUNTED_SKIPS = 10_000
"""Skips are counted up to here, as lists are."""

MOST_DUE = 2_000
"""Runs of a calendar (chosen: some 2 MB)."""

SCHEDULED: ColumnElement[str] = literal_column("'scheduled'")
COMPLETED: ColumnElement[str] = literal_column("'completed'")
"""Literals, so that the planner recognises the partial indexes."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One time at which a schedule fired: the task, the workflow, and the time it was due."""

    task_id: UUID
    workflow_id: str
    first_run_id: str
    scheduled_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """What a firing led to; `execution_id` is None if it was skipped, for `reason`."""

    scheduled_at: datetime
    started_at: datetime | None
    execution_id: UUID | None
    status: str
    reason: str | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LastSuccess:
    """The last scheduled run of a task that was completed."""

    completed_at: datetime
    text: str


async def find(session: AsyncSession, firing: Firing) -> ScheduledRun | None:
    """What the firing led to, if it was stored before.

    The key is the workflow id with its first run id: a backfill over an earlier firing has the same
    workflow id.
    """
    execution = await session.scalar(
        select(ExecutionRow).where(
            ExecutionRow.workflow_id == firing.workflow_id,
            ExecutionRow.first_run_id == firing.first_run_id,
        )
    )
    if execution is not None:
        return _read_execution(execution)
    skip = await session.scalar(
        select(ScheduleSkipRow).where(
            ScheduleSkipRow.workflow_id == firing.workflow_id,
            ScheduleSkipRow.first_run_id == firing.first_run_id,
        )
    )
    return None if skip is None else _read_skip(skip)


async def store_skip(session: AsyncSession, firing: Firing, reason: str) -> None:
    """Store that the firing was skipped."""
    session.add(
        ScheduleSkipRow(
            task_id=firing.task_id,
            workflow_id=firing.workflow_id,
            first_run_id=firing.first_run_id,
            scheduled_at=firing.scheduled_at,
            reason=reason,
        )
    )
    await session.flush()


async def list_recent(
    session: AsyncSession, task_id: UUID, *, limit: int
) -> Sequence[ScheduledRun]:
    """The latest runs of a task's schedule, skipped ones included, newest first."""
    executions = await session.scalars(
        select(ExecutionRow)
        .where(ExecutionRow.task_id == task_id, ExecutionRow.trigger_type == SCHEDULED)
        .order_by(ExecutionRow.id.desc())
        .limit(limit)
    )
    skips = await session.scalars(
        select(ScheduleSkipRow)
        .where(ScheduleSkipRow.task_id == task_id)
        .order_by(ScheduleSkipRow.id.desc())
        .limit(limit)
    )
    found = [(row.id, _read_execution(row)) for row in executions]
    found += [(row.id, _read_skip(row)) for row in skips]
    found.sort(key=lambda pair: pair[0], reverse=True)
    return [run for _, run in found[:limit]]


async def list_due_between(
    session: AsyncSession, task_ids: Sequence[UUID], start: datetime, end: datetime
) -> Mapping[UUID, Sequence[ScheduledRun]]:
    """The runs of these tasks that were due between two times, oldest first, by task.

    The newest `MOST_DUE` are considered: a run is created when it is due, except for a backfill.
    """
    found: dict[UUID, list[ScheduledRun]] = {task_id: [] for task_id in task_ids}
    execution, skip = ExecutionRow, ScheduleSkipRow
    executions = await session.scalars(
        select(execution)
        .where(
            execution.task_id.in_(task_ids),
            execution.trigger_type == SCHEDULED,
            execution.id >= first_id_at(start),
        )
        .order_by(execution.id.desc())
        .limit(MOST_DUE)
    )
    skips = await session.scalars(
        select(skip)
        .where(skip.task_id.in_(task_ids), skip.id >= first_id_at(start))
        .order_by(skip.id.desc())
        .limit(MOST_DUE)
    )
    runs = [(row.task_id, _read_execution(row)) for row in executions if row.task_id]
    runs += [(row.task_id, _read_skip(row)) for row in skips]
    for task_id, run in sorted(runs, key=lambda pair: pair[1].scheduled_at):
        if start <= run.scheduled_at < end:
            found[task_id].append(run)
    return found


async def count_skips(session: AsyncSession, task_id: UUID) -> int:
    """How many runs were skipped, counted up to `COUNTED_SKIPS`."""
    some = select(ScheduleSkipRow.id).where(ScheduleSkipRow.task_id == task_id).limit(COUNTED_SKIPS)
    return await session.scalar(select(func.count()).select_from(some.subquery())) or 0


async def find_last_success(
    session: AsyncSession, task_id: UUID | None, user_id: UUID
) -> LastSuccess | None:
    """The last scheduled run of the task for this user that was completed."""
    found = await session.execute(
        select(ExecutionRow.completed_at, ExecutionRow.result_data)
        .where(
            ExecutionRow.task_id == task_id,
            ExecutionRow.trigger_type == SCHEDULED,
            ExecutionRow.status == COMPLETED,
            ExecutionRow.user_id == user_id,
        )
        .order_by(ExecutionRow.id.desc())
        .limit(1)
    )
    last = found.one_or_none()
    if last is None or last.completed_at is None:
        return None
    return LastSuccess(last.completed_at, str((last.result_data or {}).get("text", "")))


def _read_execution(row: ExecutionRow) -> ScheduledRun:
    due = row.trigger_metadata.get("scheduled_at")
    scheduled_at = datetime.fromisoformat(due) if isinstance(due, str) else row.created_at
    return ScheduledRun(
        scheduled_at, row.started_at, row.id, row.status, completed_at=row.completed_at
    )


def _read_skip(row: ScheduleSkipRow) -> ScheduledRun:
    return ScheduledRun(row.scheduled_at, None, None, "skipped", row.reason)
