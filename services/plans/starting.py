"""Starts and cancels plans. The run of a plan is an execution, and its steps are the subtasks."""

from decimal import Decimal
from uuid import UUID

from definitions.tasks import TaskDefinition
from domain.errors import ConflictError
from domain.plans.plan import PLAN
from persistence.executions import creation
from persistence.executions.creation import Start, Work
from persistence.plans.plans import LoadedPlan
from persistence.tables.executions import ExecutionRow
from services.definitions import inline_work
from services.executions import control
from services.executions.inputs import CancelBody
from services.plans import approvals, steps
from services.plans.checks import check_plan
from services.plans.plans import lock_plan, read_body
from services.unit_of_work import UnitOfWork


async def start_plan(work: UnitOfWork, plan_id: UUID) -> LoadedPlan:
    """Start a draft, or a plan that ended before its first step was created.

    A plan that requires an approval asks for it first.

    Raises:
        ConflictError: it was started.
    """
    plan = await lock_plan(work, plan_id)
    if plan.has_started:
        raise ConflictError(_explain_started(plan))
    body = read_body(plan)
    checked = await check_plan(work, body, owner_id=plan.user_id)
    run = await create_run(work, plan, budget_usd=body.budget_usd)
    if body.approval_required:
        await approvals.open_request(work, plan, run, body)
    else:
        await steps.create_executions(work, plan, run, checked, checked.works)
    work.start_workflow(run)
    return await steps.reload(work, plan)


async def create_run(
    work: UnitOfWork, plan: LoadedPlan, *, budget_usd: Decimal | None, action: str = "plan.start"
) -> ExecutionRow:
    """Create the execution of a new run of a locked plan; the caller starts its workflow."""
    await work.services.quotas.check(work.session, plan.user_id)
    goal = plan.row.goal or plan.row.title
    defined = Work(
        definition=TaskDefinition(prompt_template=inline_work.VERBATIM),
        title=plan.row.title,
        is_inline=True,
        executor=PLAN,
    )
    start = Start(
        work=defined,
        user_id=plan.user_id,
        actor=work.caller.actor,
        trigger_type=work.caller.trigger_type,
        action=action,
        variables={inline_work.MESSAGE: goal},
        trigger_metadata={"plan_id": str(plan.id)},
        budget_usd=budget_usd,
        retry_of_id=plan.row.execution_id,
        rendered_prompt=goal,
    )
    row = await creation.store(work.session, start)
    plan.row.execution_id = row.id
    await work.session.flush()
    return row


async def cancel_plan(work: UnitOfWork, plan_id: UUID, body: CancelBody) -> LoadedPlan:
    """Request the cancellation of a plan and its steps; steps that wait are cancelled at once.

    Raises:
        ConflictError: it was never started.
        ExecutionTerminalError: it has ended.
    """
    plan = await lock_plan(work, plan_id)
    if plan.run is None:
        raise ConflictError("The plan was never started; delete it if you no longer need it.")
    await control.cancel(work, plan.run.id, body)
    return await steps.reload(work, plan)


def _explain_started(plan: LoadedPlan) -> str:
    if plan.run is not None and plan.run.status.is_terminal:
        return f"The plan is {plan.status}. Retry its failed steps, or create a new plan."
    return f"The plan is {plan.status} already."
