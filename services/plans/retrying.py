"""Retries steps of plans that have failed or were cancelled, and what failed because of them."""

from collections.abc import Collection
from decimal import Decimal
from uuid import UUID

from domain.errors import ConflictError
from domain.executions.signals import SignalKind
from domain.plans.plan import NOT_COMPLETED, PlanGraph
from persistence.executions import queries
from persistence.executions.signals import append_signal
from persistence.plans.plans import LoadedPlan
from persistence.tables.executions import ExecutionRow
from services.caller import missing
from services.plans import steps
from services.plans.checks import check_plan
from services.plans.plans import lock_plan, read_body
from services.plans.starting import create_run
from services.unit_of_work import UnitOfWork


async def retry_plan(work: UnitOfWork, plan_id: UUID, key: str | None = None) -> LoadedPlan:
    """Run a step again that was not completed, or all of them; also the steps that needed them.

    Each gets a new execution, with the step's present definition. If the plan has ended, it gets a
    new run, which keeps the completed steps.

    Raises:
        NotFoundError: the plan has no step with this key.
        ConflictError: there is nothing to retry, or it can't be retried now.
    """
    plan = await lock_plan(work, plan_id)
    failed = _find_failed(plan)
    if obstacle := _find_obstacle(plan):
        raise ConflictError(obstacle)
    if key is None:
        chosen = failed
    else:
        _require_retryable(plan, key, failed)
        chosen = frozenset({key})
    if not chosen:
        raise ConflictError("No step of this plan has failed or was cancelled.")
    body = read_body(plan)
    checked = await check_plan(work, body, owner_id=plan.user_id)
    recreated = _find_recreated(checked.graph, chosen, failed)
    run = await _find_run(work, plan)
    await steps.create_executions(work, plan, run, checked, recreated, are_retries=True)
    await work.record_audit(
        "plan.retry",
        ("plan", plan.id),
        after={"execution_id": str(run.id), "steps": sorted(recreated)},
        owner_id=plan.user_id,
    )
    return await steps.reload(work, plan)


def _find_failed(plan: LoadedPlan) -> frozenset[str]:
    """The steps that were not completed. One that was added after the end has no execution yet."""
    states = {step.key: plan.state_of(step) for step in plan.steps}
    return frozenset(
        key for key, state in states.items() if state is None or state.status in NOT_COMPLETED
    )


def find_retryable(plan: LoadedPlan) -> frozenset[str]:
    """The steps that `retry_plan` takes now."""
    if _find_obstacle(plan):
        return frozenset()
    failed = _find_failed(plan)
    steps = [step for step in plan.steps if step.key in failed]
    return frozenset(step.key for step in steps if failed.isdisjoint(step.depends_on))


def _require_retryable(plan: LoadedPlan, key: str, failed: Collection[str]) -> None:
    step = next((step for step in plan.steps if step.key == key), None)
    if step is None:
        raise missing("step", key)
    state = plan.state_of(step)
    if state is not None and key not in failed:
        raise ConflictError(
            f"This step is {state.status}; only a failed or cancelled step can be retried."
        )
    if needed := [other for other in step.depends_on if other in failed]:
        raise ConflictError(f"This step depends on {needed[0]!r}, which failed; retry that step.")


def _find_obstacle(plan: LoadedPlan) -> str | None:
    """Why no step of the plan can be retried now."""
    states = [plan.state_of(step) for step in plan.steps]
    if plan.run is None or not any(states):
        return "No step has run; start the plan instead of retrying it."
    if plan.is_active and plan.run.cancel_requested_at is not None:
        return "The plan is being cancelled; retry it when it has ended."
    if plan.row.approval_required and None in states:
        return "Some steps are not approved; answer the request or start a new plan."
    if plan.is_active:
        return None
    for step, state in zip(plan.steps, states, strict=True):
        if state is not None and not state.status.is_terminal:
            return f"Step {step.key!r} is still stopping; try again in a moment."
    return None


def _find_recreated(
    graph: PlanGraph, chosen: Collection[str], failed: Collection[str]
) -> frozenset[str]:
    """The chosen steps, and the failed ones that need only these and steps that have not failed."""
    found = set(chosen)
    for key in graph.in_order:
        needed = graph.dependencies[key]
        has_retried = not found.isdisjoint(needed)
        if key in failed and has_retried and all(k in found or k not in failed for k in needed):
            found.add(key)
    return frozenset(found)


async def _find_run(work: UnitOfWork, plan: LoadedPlan) -> ExecutionRow:
    """Return the active run, informed of new executions, or a new one."""
    if plan.run is not None and plan.is_active:
        run = await queries.lock_existing(work.session, plan.run.id)
        await append_signal(work.session, run.id, SignalKind.PLAN_CHANGED)
        work.wake_workflow(run.id, run.workflow_id)
        return run
    run = await create_run(work, plan, budget_usd=_find_budget(plan), action="plan.retry")
    work.start_workflow(run)
    return run


def _find_budget(plan: LoadedPlan) -> Decimal | None:
    """The budget of another run: what the earlier ones have left."""
    if plan.row.budget_usd is None:
        return None
    left = plan.row.budget_usd - plan.cost_usd
    if left <= 0:
        raise ConflictError("The budget of this plan is used up; raise budget_usd, then retry.")
    return left
