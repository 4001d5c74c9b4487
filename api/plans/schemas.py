"""Plans as clients read them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api import links
from api.http.paging import ResourceQuery, split_values
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from domain.executions.states import ExecutionStatus
from domain.plans.plan import PlanGraph, count_progress, find_action
from persistence.plans.plans import ExecutionState, ListedPlan, LoadedPlan
from persistence.tables.plans import PlanRow, PlanStepRow
from services.field_types import UsdOut
from services.plans.retrying import find_retryable

PlanStatus = Literal[
    "draft", "pending", "blocked", "running", "waiting_for_user", "waiting_for_subtask", "paused",
    "completed", "failed", "cancelled",
]  # fmt: skip
"""`draft`, or the status of the newest run; one type, so that a wrong filter is one error."""


class PlanQuery(ResourceQuery):
    """Filters and page. `status` can be repeated or contain commas."""

    status: Annotated[tuple[PlanStatus, ...], BeforeValidator(split_values)] = ()


class ProgressRead(BaseModel):
    """How many steps are in which state. `waiting` ones need other steps first."""

    model_config = ConfigDict(frozen=True)

    total: int
    completed: int
    failed: int
    cancelled: int
    active: int
    waiting: int
    percent: int


class PlanStepRead(Read):
    """A step of a plan, with the state of its newest execution. `batch` counts from 0."""

    key: str
    title: str
    prompt: str
    agent_id: str | None
    executor: str | None
    depends_on: list[str]
    budget_usd: UsdOut | None
    batch: int
    execution_id: UUID | None
    status: ExecutionStatus | None
    status_reason: str | None
    error_code: str | None
    error_message: str | None
    cost_usd: UsdOut
    is_scripted: Annotated[
        bool, Field(description="The scripted model answered, not Claude: nothing was paid.")
    ]
    started_at: datetime | None
    completed_at: datetime | None


class PlanSummaryRead(Read):
    """A plan in a list. Its state is that of its newest run, `execution_id`."""

    id: UUID
    user_id: UUID
    title: str
    goal: str | None
    approval_required: bool
    budget_usd: UsdOut | None
    max_parallel: int | None
    execution_id: UUID | None
    status: PlanStatus
    status_reason: str | None
    error_code: str | None
    error_message: str | None
    progress: ProgressRead
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class PlanRead(PlanSummaryRead):
    """A plan with its steps.

    The steps of a batch depend only on earlier batches. `critical_path` is the chain of steps that
    takes longest: by the time that completed steps took, and their mean for the others.
    """

    cost_usd: UsdOut
    is_scripted: Annotated[
        bool,
        Field(description="The scripted model answered in a step: nothing was paid for it."),
    ]
    steps: list[PlanStepRead]
    batches: list[list[str]]
    max_parallelism: int
    critical_path: list[str]


def render_plan(_: Call, plan: LoadedPlan) -> PlanRead:
    """Return a plan with its steps."""
    graph = PlanGraph({step.key: tuple(step.depends_on) for step in plan.steps})
    states = [plan.state_of(step) for step in plan.steps]
    seconds = {
        step.key: state.seconds
        for step, state in zip(plan.steps, states, strict=True)
        if state and state.seconds is not None and state.status is ExecutionStatus.COMPLETED
    }
    statuses = [None if state is None else state.status for state in states]
    retryable = find_retryable(plan)
    return from_row(
        PlanRead,
        plan.row,
        **_summary_of(plan.row, plan.run, statuses),
        cost_usd=plan.cost_usd,
        is_scripted=plan.is_scripted,
        steps=[
            _render_step(
                plan, step, state, graph.batch_of[step.key], can_retry=step.key in retryable
            )
            for step, state in zip(plan.steps, states, strict=True)
        ],
        batches=[list(batch) for batch in graph.batches],
        max_parallelism=graph.max_parallelism,
        critical_path=list(graph.find_critical_path(seconds)),
    )


def render_summary(_: Call, listed: ListedPlan) -> PlanSummaryRead:
    """Return a plan for a list."""
    values = _summary_of(listed.row, listed.run, listed.statuses)
    return from_row(PlanSummaryRead, listed.row, **values)


def _summary_of(
    row: PlanRow, run: ExecutionState | None, statuses: Sequence[ExecutionStatus | None]
) -> Mapping[str, object]:
    progress = count_progress(statuses)
    is_active = run is not None and not run.status.is_terminal
    action = find_action(statuses, is_active=is_active, approval_required=row.approval_required)
    return {
        "status": "draft" if run is None else run.status,
        "progress": ProgressRead(**asdict(progress), percent=progress.percent),
        "links": links.plan(row.id, row.execution_id, action),
        **{
            field: getattr(run, field, None)
            for field in (
                "status_reason", "error_code", "error_message", "started_at", "completed_at"
            )
        },
    }  # fmt: skip


def _render_step(
    plan: LoadedPlan,
    step: PlanStepRow,
    state: ExecutionState | None,
    batch: int,
    *,
    can_retry: bool,
) -> PlanStepRead:
    return from_row(
        PlanStepRead,
        step,
        batch=batch,
        executor=state.executor if state else step.executor,
        status=None if state is None else state.status,
        cost_usd=state.cost_usd if state else 0,
        is_scripted=state.is_scripted if state else False,
        links=links.plan_step(plan.id, step.key, step.execution_id, can_retry=can_retry),
        **{
            field: getattr(state, field, None)
            for field in (
                "status_reason", "error_code", "error_message", "started_at", "completed_at"
            )
        },
    )  # fmt: skip
