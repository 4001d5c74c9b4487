"""Changes a plan: a draft, one that waits for an approval, that runs, or that has ended."""

from uuid import UUID

from domain.errors import ConflictError
from domain.executions.signals import SignalKind
from persistence.executions import queries
from persistence.executions.signals import append_signal
from persistence.plans import plans
from persistence.plans.plans import LoadedPlan
from services.definitions.updates import merge_update
from services.plans import approvals, steps
from services.plans.checks import CheckedPlan, check_plan
from services.plans.inputs import PlanCreate, PlanUpdate
from services.plans.plans import (
    Precondition,
    body_fields,
    find_changed,
    lock_plan,
    refuse_changes_of_started,
    store_changes,
)
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field


async def update_plan(
    work: UnitOfWork, plan_id: UUID, update: PlanUpdate, precondition: Precondition
) -> LoadedPlan:
    """Change the given fields of a plan.

    While it runs, the steps that have not begun get new executions where they, or steps that they
    depend on, were changed. If the plan requires an approval, these need one too; a new request
    takes the place of an open one.

    Raises:
        InvalidInputError: a step that runs or is completed would change.
        ConflictError: its cancellation was requested.
    """
    plan = await lock_plan(work, plan_id)
    precondition(plan)
    body = merge_update(PlanCreate, body_fields(plan), update, what="plan")
    checked = await check_plan(work, body, owner_id=plan.user_id)
    refuse_changes_of_started(plan, body)
    if plan.has_started:
        _refuse_after_start(plan, body)
    if plan.is_active:
        await _change_active(work, plan, body, checked)
    else:
        await store_changes(work, plan, body)
    return await plans.load(work.session, plan.row)


async def _change_active(
    work: UnitOfWork, plan: LoadedPlan, body: PlanCreate, checked: CheckedPlan
) -> None:
    if plan.run is None or plan.run.cancel_requested_at is not None:
        raise ConflictError("The plan is being cancelled; change it when it has ended.")
    run = await queries.lock_existing(work.session, plan.run.id)
    replaced = _find_replaced(plan, body, checked)
    kept = {step.key for step in body.steps} - replaced
    states = [plan.state_of(step) for step in plan.steps if step.key not in kept]
    await steps.cancel_executions(work, [state for state in states if state is not None])
    await store_changes(work, plan, body, without_executions=replaced)
    changed = await plans.load(work.session, plan.row)
    if not body.approval_required:
        await steps.create_executions(work, changed, run, checked, replaced)
    elif replaced:
        await approvals.open_request(work, changed, run, body)
    await append_signal(work.session, run.id, SignalKind.PLAN_CHANGED)
    work.wake_workflow(run.id, run.workflow_id)


def _refuse_after_start(plan: LoadedPlan, body: PlanCreate) -> None:
    """Refuse changes that a plan takes only before its start.

    Raises:
        InvalidInputError: a field can't change any more.
        ConflictError: a person has approved the steps of a plan that has ended.
    """
    detail = "The plan can't be changed like this; see errors."
    if body.approval_required != plan.row.approval_required:
        hint = "A plan that was started keeps this; send it as it is."
        raise refuse_field(detail, "approval_required", hint)
    if plan.is_active and body.budget_usd != plan.row.budget_usd:
        hint = "The budget can't change while the plan runs; send it as it is."
        raise refuse_field(detail, "budget_usd", hint)
    if body.approval_required:
        _refuse_changes_of_approved(plan, body)


def _refuse_changes_of_approved(plan: LoadedPlan, body: PlanCreate) -> None:
    """Refuse changes that a retry would run without another approval.

    Raises:
        ConflictError: steps would change that have ended, or the plan has.
    """
    changed = find_changed(plan, body)
    states = {step.key: plan.state_of(step) for step in plan.steps}
    ended = {key for key, state in states.items() if state and state.status.is_terminal}
    if changed and (not plan.is_active or changed & ended):
        raise ConflictError(
            "A person approved these steps, and they have ended; create a new plan for others."
        )


def _find_replaced(plan: LoadedPlan, body: PlanCreate, checked: CheckedPlan) -> frozenset[str]:
    """The steps that need a new execution: changed ones, and those that depend on them.

    Steps that have ended keep theirs: a retry applies what was changed.
    """
    states = {step.key: plan.state_of(step) for step in plan.steps}
    ended = {key for key, state in states.items() if state and state.status.is_terminal}
    without = {key for key, state in states.items() if state is None}
    changed = (find_changed(plan, body) | without) & {step.key for step in body.steps} - ended
    return (changed | checked.graph.dependents_of(changed)) - ended
