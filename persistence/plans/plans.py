"""Plans as they are stored: each with its steps and the state of their executions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.states import PREREQUISITES, ExecutionStatus
from domain.plans.plan import DRAFT
from persistence.db import sql
from persistence.db.paging import Page, Window, newest
from persistence.tables.executions import ExecutionRow
from persistence.tables.plans import PlanRow, PlanStepRow

_SQL = sql.load("plans/plans.sql")


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """The state of an execution: of a plan's newest run, or of a step's newest execution."""

    id: UUID
    status: ExecutionStatus
    status_reason: str | None
    executor: str
    error_code: str | None
    error_message: str | None
    cost_usd: Decimal
    is_scripted: bool
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    pause_requested_at: datetime | None
    has_run: bool
    """Whether a workflow run has it, which for an external one waits for a worker."""

    @property
    def seconds(self) -> float | None:
        """The time from its start to its end; None before the end."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()

    @property
    def waits_for_steps(self) -> bool:
        """Whether it is blocked until its prerequisites are completed."""
        return self.status is ExecutionStatus.BLOCKED and self.status_reason == PREREQUISITES

    @property
    def is_unstarted(self) -> bool:
        """Whether neither Claude nor a worker has begun with it, although it could start."""
        return self.status is ExecutionStatus.PENDING and self.started_at is None

    @property
    def is_ready(self) -> bool:
        """Whether its prerequisites are completed and no workflow run has it yet."""
        return self.status is ExecutionStatus.PENDING and not self.has_run


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan with its steps in their order, its newest run, and the executions by their ids.

    `cost_usd` is the cost of all executions of all its runs, with their subtasks.
    """

    row: PlanRow
    steps: Sequence[PlanStepRow]
    run: ExecutionState | None
    states: Mapping[UUID, ExecutionState]
    cost_usd: Decimal

    @property
    def user_id(self) -> UUID:
        """The owner."""
        return self.row.user_id

    @property
    def id(self) -> UUID:
        """The id of the plan."""
        return self.row.id

    @property
    def status(self) -> str:
        """`draft`, or the status of the newest run."""
        return DRAFT if self.run is None else self.run.status

    @property
    def is_active(self) -> bool:
        """Whether its newest run has not ended."""
        return self.run is not None and not self.run.status.is_terminal

    @property
    def has_started(self) -> bool:
        """Whether it runs, or has run at least one step."""
        return self.is_active or any(step.execution_id for step in self.steps)

    @property
    def is_scripted(self) -> bool:
        """Whether the scripted model answered in the newest execution of a step."""
        states = map(self.state_of, self.steps)
        return any(state.is_scripted for state in states if state)

    def state_of(self, step: PlanStepRow) -> ExecutionState | None:
        """The state of a step's execution, if it has one."""
        return None if step.execution_id is None else self.states[step.execution_id]


async def find(session: AsyncSession, plan_id: UUID, *, lock: bool = False) -> PlanRow | None:
    """The plan; with `lock` no other transaction changes it or its steps meanwhile."""
    return await session.get(
        PlanRow,
        plan_id,
        with_for_update={"key_share": True} if lock else None,
        populate_existing=lock,
    )


async def find_by_execution(
    session: AsyncSession, execution_id: UUID, *, lock: bool = False
) -> PlanRow | None:
    """The plan whose newest run this execution is; `lock` as in `find`."""
    plan_id = await session.scalar(select(PlanRow.id).where(PlanRow.execution_id == execution_id))
    return None if plan_id is None else await find(session, plan_id, lock=lock)


async def load(session: AsyncSession, row: PlanRow, *, lock: bool = False) -> LoadedPlan:
    """A plan with its steps and their state; `lock` locks its executions, after the plan."""
    steps = await list_steps(session, row.id)
    ids = [step.execution_id for step in steps if step.execution_id is not None]
    run_ids = [] if row.execution_id is None else [row.execution_id]
    states = await read_states(session, [*run_ids, *ids], lock=lock)
    run = None if row.execution_id is None else states[row.execution_id]
    cost = await sum_costs(session, row.execution_id)
    return LoadedPlan(row, steps, run, states, cost)


async def sum_costs(session: AsyncSession, execution_id: UUID | None) -> Decimal:
    """The cost of this run of a plan and of those that it retries, with all their subtasks."""
    cost = await session.scalar(_SQL["sum_costs"], {"execution_id": execution_id})
    return cost or Decimal(0)


async def list_steps(session: AsyncSession, plan_id: UUID) -> Sequence[PlanStepRow]:
    """The steps of a plan, in their order."""
    rows = await session.scalars(
        select(PlanStepRow).where(PlanStepRow.plan_id == plan_id).order_by(PlanStepRow.position)
    )
    return rows.all()


async def read_states(
    session: AsyncSession, ids: Sequence[UUID], *, lock: bool = False
) -> Mapping[UUID, ExecutionState]:
    """The states of executions; `lock` locks them in the order of `persistence/db/locks.py`."""
    execution = ExecutionRow
    query = (
        select(
            execution.id,
            execution.status,
            execution.status_reason,
            execution.executor,
            execution.error_code,
            execution.error_message,
            execution.cost_usd,
            execution.is_scripted,
            execution.created_at,
            execution.started_at,
            execution.completed_at,
            execution.cancel_requested_at,
            execution.pause_requested_at,
            (execution.run_epochs != {}).label("has_run"),
        )
        .where(execution.id.in_(ids))
        .order_by(execution.id)
    )
    if lock:
        query = query.with_for_update(key_share=True)
    return {row.id: _state(row) for row in await session.execute(query)}


def _state(row: Any) -> ExecutionState:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the columns of a row
    return ExecutionState(**{**values, "status": ExecutionStatus(row.status)})


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """A plan in a list: its row, its newest run, and the statuses of its steps."""

    row: PlanRow
    run: ExecutionState | None
    statuses: Sequence[ExecutionStatus | None]

    @property
    def id(self) -> UUID:
        """The id of the plan."""
        return self.row.id


async def page(
    session: AsyncSession, user_id: UUID, statuses: Sequence[str], window: Window
) -> Page[PlanRow]:
    """The user's plans in one of these states, newest first; without states all."""
    own = PlanRow.user_id == user_id
    branches = [and_(own, _has_status(status)) for status in dict.fromkeys(statuses)]
    return await newest(session, PlanRow, PlanRow.id, branches or [own], window)


def _has_status(status: str) -> ColumnElement[bool]:
    if status == DRAFT:
        return PlanRow.execution_id.is_(None)
    return exists().where(ExecutionRow.id == PlanRow.execution_id, ExecutionRow.status == status)


async def describe_listed(session: AsyncSession, rows: Sequence[PlanRow]) -> Sequence[ListedPlan]:
    """The state of the plans of a page."""
    runs = await read_states(session, [row.execution_id for row in rows if row.execution_id])
    counted = await session.execute(
        select(PlanStepRow.plan_id, ExecutionRow.status, func.count().label("steps"))
        .outerjoin(ExecutionRow, ExecutionRow.id == PlanStepRow.execution_id)
        .where(PlanStepRow.plan_id.in_([row.id for row in rows]))
        .group_by(PlanStepRow.plan_id, ExecutionRow.status)
    )
    statuses: dict[UUID, list[ExecutionStatus | None]] = {row.id: [] for row in rows}
    for row in counted:
        known = ExecutionStatus(row.status) if row.status else None
        statuses[row.plan_id] += [known] * row.steps
    return [
        ListedPlan(row, runs[row.execution_id] if row.execution_id else None, statuses[row.id])
        for row in rows
    ]


async def replace_steps(session: AsyncSession, plan_id: UUID, steps: Sequence[PlanStepRow]) -> None:
    """Replace the steps of a locked plan."""
    await session.execute(
        delete(PlanStepRow)
        .where(PlanStepRow.plan_id == plan_id)
        .execution_options(synchronize_session="fetch")
    )
    session.add_all(steps)
    await session.flush()


async def delete_plan(session: AsyncSession, row: PlanRow) -> None:
    """Delete a locked plan and its steps; their executions stay."""
    await replace_steps(session, row.id, [])
    await session.delete(row)
    await session.flush()


async def change_step(session: AsyncSession, row: ExecutionRow) -> None:
    """Let the step of which this is the newest execution be defined as the execution is now."""
    values = {"title": row.title, "agent_id": row.agent_id}
    if row.rendered_prompt is not None:
        values["prompt"] = row.rendered_prompt
    await session.execute(
        update(PlanStepRow).where(PlanStepRow.execution_id == row.id).values(**values)
    )


async def erase(session: AsyncSession, execution_id: UUID, text: str) -> None:
    """Replace what was written in the plan or the step of which this is the execution."""
    step = update(PlanStepRow).where(PlanStepRow.execution_id == execution_id)
    await session.execute(step.values(title=text, prompt=text))
    plan = update(PlanRow).where(PlanRow.execution_id == execution_id)
    await session.execute(plan.values(title=text, goal=None))
