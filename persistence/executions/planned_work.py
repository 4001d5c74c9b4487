"""Reads and changes external executions, and plans, as an orchestrator plans them.

What an orchestrator knows about its work (`complexity`, `estimated_effort`, `due_date`, `context`,
`specialist_type`) is in `trigger_metadata`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, exists, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from domain.executions.states import TERMINAL, WORKER_BLOCKED, ExecutionStatus
from persistence.db.paging import created_between
from persistence.tables.executions import ExecutionEventRow, ExecutionRow, PrerequisiteRow

_COMPLEXITY: ColumnElement[str] = literal_column("(executions.trigger_metadata ->> 'complexity')")


ERASED = "(deleted)"
"""The title of work whose content was erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFilter:
    """Filters for the external executions of a user, and the plans that they are steps of."""

    statuses: Sequence[str] = ()
    agent_ids: Sequence[str] = ()
    complexities: Sequence[str] = ()
    parent_id: UUID | None = None
    sources: Sequence[str] = ()
    executors: Sequence[str] = ()
    text: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    include_children: bool = True


@dataclass(frozen=True, slots=True)
class ChildProgress:
    """How many parts of an execution there are, and how many of them are completed."""

    completed: int
    total: int

    @property
    def percent(self) -> int:
        """The completed parts in percent."""
        return 0 if self.total == 0 else round(100 * self.completed / self.total)


def _conditions(user_id: UUID, narrowed: WorkFilter) -> list[ColumnElement[bool]]:
    conditions = [
        ExecutionRow.user_id == user_id,
        # As it is in the partial indexes, so that the planner can use them.
        literal_column("executions.executor IN ('external', 'plan')", Boolean),
        ExecutionRow.archived_at.is_(None),
    ]
    lists: Sequence[tuple[ColumnElement[Any] | InstrumentedAttribute[Any], Sequence[str]]] = (
        (ExecutionRow.status, narrowed.statuses),
        (ExecutionRow.agent_id, narrowed.agent_ids),
        (ExecutionRow.source, narrowed.sources),
        (ExecutionRow.executor, narrowed.executors),
        (_COMPLEXITY, narrowed.complexities),
    )
    conditions += [column.in_(values) for column, values in lists if values]
    if narrowed.parent_id is not None:
        conditions.append(ExecutionRow.parent_execution_id == narrowed.parent_id)
    elif not narrowed.include_children:
        conditions.append(ExecutionRow.parent_execution_id.is_(None))
    if narrowed.text:
        columns = (ExecutionRow.title, ExecutionRow.summary, ExecutionRow.rendered_prompt)
        conditions.append(or_(*(c.icontains(narrowed.text, autoescape=True) for c in columns)))
    if narrowed.created_after is not None:
        conditions.append(ExecutionRow.created_at >= narrowed.created_after)
    if narrowed.created_before is not None:
        conditions.append(ExecutionRow.created_at < narrowed.created_before)
    return conditions


async def search(
    session: AsyncSession, user_id: UUID, narrowed: WorkFilter, *, limit: int, offset: int
) -> tuple[Sequence[ExecutionRow], int]:
    """A page of the user's external executions, newest first, and how many match."""
    conditions = _conditions(user_id, narrowed)
    query = select(ExecutionRow).where(*conditions).order_by(ExecutionRow.id.desc())
    rows = await session.scalars(query.limit(limit).offset(offset))
    total = await session.scalar(select(func.count()).where(*conditions).select_from(ExecutionRow))
    return rows.all(), total or 0


async def count_by_status(session: AsyncSession, user_id: UUID) -> Mapping[str, int]:
    """How many external executions of the user are in each state."""
    result = await session.execute(
        select(ExecutionRow.status, func.count())
        .where(*_conditions(user_id, WorkFilter()))
        .group_by(ExecutionRow.status)
    )
    return {row[0]: row[1] for row in result}


async def list_children(session: AsyncSession, parent_id: UUID) -> Sequence[ExecutionRow]:
    """The parts of an execution, oldest first."""
    rows = await session.scalars(
        select(ExecutionRow)
        .where(ExecutionRow.parent_execution_id == parent_id)
        .order_by(ExecutionRow.id)
    )
    return rows.all()


async def count_children(session: AsyncSession, parent_id: UUID) -> ChildProgress:
    """The progress of an execution with parts."""
    is_completed = ExecutionRow.status == ExecutionStatus.COMPLETED
    counted = select(func.count().filter(is_completed), func.count()).where(
        ExecutionRow.parent_execution_id == parent_id
    )
    row = (await session.execute(counted)).one()
    return ChildProgress(row[0], row[1])


async def find_next(
    session: AsyncSession, user_id: UUID, parent_id: UUID | None
) -> ExecutionRow | None:
    """The claimable work that comes next: a part of the same execution, or any other."""
    query = select(ExecutionRow).where(
        *_conditions(user_id, WorkFilter(parent_id=parent_id)),
        ExecutionRow.executor == "external",
        ExecutionRow.status == ExecutionStatus.PENDING,
        ExecutionRow.cancel_requested_at.is_(None),
        ExecutionRow.pause_requested_at.is_(None),
    )
    ordered = query.order_by(ExecutionRow.calculated_priority.desc(), ExecutionRow.id).limit(1)
    found: ExecutionRow | None = await session.scalar(ordered)
    return found


async def list_open_prerequisites(
    session: AsyncSession, execution_id: UUID
) -> Sequence[ExecutionRow]:
    """The executions that this one still waits for."""
    rows = await session.scalars(
        select(ExecutionRow)
        .join(PrerequisiteRow, PrerequisiteRow.prerequisite_id == ExecutionRow.id)
        .where(
            PrerequisiteRow.execution_id == execution_id,
            ExecutionRow.status != ExecutionStatus.COMPLETED,
        )
        .order_by(ExecutionRow.id)
    )
    return rows.all()


async def list_dependents(session: AsyncSession, execution_id: UUID) -> Sequence[ExecutionRow]:
    """The unfinished executions that are parts of this one or wait for it."""
    waiting = select(PrerequisiteRow.execution_id).where(
        PrerequisiteRow.prerequisite_id == execution_id
    )
    rows = await session.scalars(
        select(ExecutionRow)
        .where(
            or_(
                ExecutionRow.parent_execution_id == execution_id,
                ExecutionRow.id.in_(waiting),
            ),
            ExecutionRow.status.not_in(TERMINAL),
        )
        .order_by(ExecutionRow.id)
    )
    return rows.all()


async def change(
    session: AsyncSession, row: ExecutionRow, *, columns: Mapping[str, Any], metadata: Any
) -> None:
    """Change columns of a locked execution; `metadata` replaces these keys."""
    for column, value in columns.items():
        setattr(row, column, value)
    if metadata:
        row.trigger_metadata = {**row.trigger_metadata, **metadata}
    await session.flush()


STALE: Sequence[Sequence[ColumnElement[bool]]] = (
    [ExecutionRow.status == ExecutionStatus.RUNNING],
    [ExecutionRow.status == ExecutionStatus.PENDING],
    [
        ExecutionRow.status == ExecutionStatus.BLOCKED,
        ExecutionRow.status_reason == WORKER_BLOCKED,
    ],
)
"""States of work that a worker or a person should continue."""


async def list_stale(
    session: AsyncSession, user_id: UUID, *, before: datetime, limit: int
) -> Sequence[tuple[ExecutionRow, datetime]]:
    """Work without an event or a heartbeat since `before`, with the time of the last one.

    The oldest comes first. Work that waits for other work is not stale, and neither is work with
    parts that have not ended.
    """
    last = (
        select(func.max(ExecutionEventRow.at))
        .where(ExecutionEventRow.execution_id == ExecutionRow.id)
        .scalar_subquery()
    )
    lease_length = func.make_interval(0, 0, 0, 0, 0, 0, ExecutionRow.lease_seconds)
    kept_at = ExecutionRow.lease_expires_at - lease_length  # the last heartbeat
    active_at = func.greatest(ExecutionRow.created_at, ExecutionRow.claimed_at, kept_at, last)
    part = aliased(ExecutionRow)
    has_open_parts = exists().where(
        part.parent_execution_id == ExecutionRow.id, part.status.not_in(TERMINAL)
    )
    # Work is as old as its id; each status is a range of an index in the order of the ids.
    stale = select(ExecutionRow, active_at).where(
        *_conditions(user_id, WorkFilter()),
        *created_between(ExecutionRow.id, ExecutionRow.created_at, None, before),
        ExecutionRow.executor == "external",
        ExecutionRow.pause_requested_at.is_(None),
        ExecutionRow.cancel_requested_at.is_(None),
        ~has_open_parts,
        active_at < before,
    )
    found: list[tuple[ExecutionRow, datetime]] = []
    for condition in STALE:
        some = await session.execute(stale.where(*condition).order_by(ExecutionRow.id).limit(limit))
        found += [(row[0], row[1]) for row in some]
    return sorted(found, key=lambda one: one[0].id)[:limit]


async def erase(session: AsyncSession, row: ExecutionRow) -> None:
    """Remove what people and workers wrote from a locked execution; its record stays."""
    row.title = ERASED
    row.summary = row.result_data = row.rendered_prompt = None
    row.prompt_variables = {}
    row.trigger_metadata = {}
    if row.definition is not None:
        row.definition = {**row.definition, "prompt_template": ERASED, "system_prompt": None}
    await session.flush()
