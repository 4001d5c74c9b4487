"""What the workflow of a plan does next: starts steps that are ready, reports progress, ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode
from domain.executions.events import Event
from domain.executions.states import ExecutionStatus
from domain.people.requests import RequestKind
from domain.plans.plan import STARTED, Approval, PlanDecision, StepState, decide, join_results
from persistence.executions import admission, events, input_requests, lifecycle, queries, signals
from persistence.executions.fencing import RunIdentity
from persistence.plans import plans, runs
from persistence.tables.executions import ExecutionRow
from persistence.tables.plans import PlanRow
from services.executions import finishing


@dataclass(frozen=True, slots=True)
class Advance:
    """The state of a plan, and the executions of steps to start now.

    A terminal `status` is written; `cost_usd` is then the cost of the plan with all its steps.
    `has_more`: call `advance` again at once.
    """

    status: ExecutionStatus
    error_code: ErrorCode | None = None
    start_ids: Sequence[UUID] = ()
    has_more: bool = False
    completed: int = 0
    total: int = 0
    cost_usd: Decimal = Decimal(0)


async def advance(session: AsyncSession, execution_id: UUID, run: RunIdentity) -> Advance:
    """Find the steps that are ready, report those that have changed, and write the end.

    A repeat in the same segment returns the same steps: their start may have been lost.

    Raises:
        FencedOutError: another run moves the plan.
        ResetRefusedError: an operator's reset is refused.
    """
    row = await queries.lock_existing(session, execution_id)
    is_new_run = run.run_id not in row.run_epochs
    if await admission.lock_and_admit(session, execution_id, run) is None:
        return await _read_end(session, execution_id)
    await signals.consume_all(session, execution_id)
    plan = await plans.find_by_execution(session, execution_id)
    if plan is None or row.cancel_requested_at is not None:
        return await _finish(session, row, run, PlanDecision(ExecutionStatus.CANCELLED))
    steps = await runs.list_states(session, plan.id)
    decision = decide(
        steps,
        approval=await _find_approval(session, plan, execution_id),
        is_paused=row.pause_requested_at is not None,
        max_parallel=plan.max_parallel,
    )
    is_end = decision.status.is_terminal
    await lifecycle.set_plan_status(
        session, row, ExecutionStatus.RUNNING if is_end else decision.status
    )
    await _report_changes(session, execution_id, plan.id, steps)
    if is_end:
        if decision.status is ExecutionStatus.COMPLETED:
            results = await runs.list_final_results(session, plan.id)
            row.result_data = {"text": join_results(results), "plan_id": str(plan.id)}
        return await _finish(session, row, run, decision)
    started = await _mark_starts(session, plan.id, steps, decision, run, is_new_run=is_new_run)
    new = [replace(step, start_segment=run.segment) for step in decision.start]
    await _report_changes(session, execution_id, plan.id, new)
    return Advance(
        decision.status,
        start_ids=[step.execution_id for step in started if step.execution_id is not None],
        has_more=decision.has_more,
        completed=sum(step.status is ExecutionStatus.COMPLETED for step in steps),
        total=len(steps),
    )


async def _find_approval(
    session: AsyncSession, plan: PlanRow, execution_id: UUID
) -> Approval | None:
    if not plan.approval_required:
        return None
    kind = RequestKind.PLAN_APPROVAL
    request = await input_requests.find_newest(session, execution_id, kind)
    if request is None:
        return None
    if request.status == "open":
        return "open"
    is_denied = request.answer is not None and request.answer.get("decision") == "deny"
    return "denied" if is_denied else None


async def _mark_starts(
    session: AsyncSession,
    plan_id: UUID,
    steps: Sequence[StepState],
    decision: PlanDecision,
    run: RunIdentity,
    *,
    is_new_run: bool,
) -> Sequence[StepState]:
    """Note which steps this segment starts; a new run repeats starts that have no effect yet."""
    repeated = [
        step
        for step in steps
        if step.is_ready
        and step.start_segment is not None
        and (is_new_run or step.start_segment == run.segment)
    ]
    started = [*repeated, *decision.start]
    keys = [step.key for step in started]
    await runs.store_start_segment(session, plan_id, keys, run.segment)
    return started


async def _report_changes(
    session: AsyncSession, execution_id: UUID, plan_id: UUID, steps: Sequence[StepState]
) -> None:
    """Append an event for each step that has started or ended since the last one about it."""
    changed = [step for step in steps if step.status_to_report != step.reported_status]
    if not changed:
        return
    reported = {step.key: step.status_to_report for step in changed}
    await runs.store_reported(session, plan_id, reported)
    new_events = [_make_event(step) for step in changed if step.status_to_report is not None]
    if new_events:
        await events.append(session, execution_id, *new_events)


def _make_event(step: StepState) -> Event:
    data = {"execution_id": str(step.execution_id), "step": step.key, "title": step.title}
    if step.status_to_report == STARTED:
        return Event("subtask.started", data)
    return Event("subtask.completed", {**data, "status": step.status_to_report})


async def _finish(
    session: AsyncSession, row: ExecutionRow, run: RunIdentity, decision: PlanDecision
) -> Advance:
    if decision.error_message is not None:
        row.error_message = decision.error_message
    await session.flush()
    end = await finishing.finish(
        session, row.id, run, status=decision.status, error_code=decision.error_code
    )
    return await _describe_end(session, end)


async def _read_end(session: AsyncSession, execution_id: UUID) -> Advance:
    return await _describe_end(session, await lifecycle.find_end(session, execution_id))


async def _describe_end(session: AsyncSession, end: lifecycle.Ended) -> Advance:
    cost = await plans.sum_costs(session, end.id)
    return Advance(end.status, end.error_code, cost_usd=cost)
