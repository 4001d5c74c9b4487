"""Plans: creates, reads, changes and deletes them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ConflictError, FieldProblem, InvalidInputError
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from domain.plans.plan import INVALID
from persistence.plans import plans
from persistence.plans.plans import LoadedPlan
from persistence.tables.plans import PlanRow, PlanStepRow
from services.caller import Caller
from services.plans.checks import check_plan
from services.plans.inputs import PlanCreate, PlanStepBody
from services.unit_of_work import UnitOfWork

Precondition = Callable[[LoadedPlan], None]
"""Raises `PreconditionFailedError` if the plan is not the one that the caller read."""

STEP_FIELDS = tuple(PlanStepBody.model_fields)

_RUN_FIELDS = ("execution_id", "reported_status", "start_segment")
"""Columns of a step that belong to its execution."""

PLAN_FIELDS = tuple(field for field in PlanCreate.model_fields if field != "steps")


async def create_plan(work: UnitOfWork, body: PlanCreate) -> LoadedPlan:
    """Store a plan as a draft; `services.plans.starting` starts it."""
    row = PlanRow(id=new_id(), user_id=work.caller.user_id)
    await check_plan(work, body, owner_id=row.user_id)
    await work.check_storage(row.user_id, body)
    for field in PLAN_FIELDS:
        setattr(row, field, getattr(body, field))
    work.session.add(row)
    await work.session.flush()
    await plans.replace_steps(work.session, row.id, make_steps(row.id, body, {}))
    after = audited_fields(row, body.steps)
    await work.record_audit("plan.create", ("plan", row.id), after=after)
    return await plans.load(work.session, row)


async def get_plan(session: AsyncSession, caller: Caller, plan_id: UUID) -> LoadedPlan:
    """Return a plan of the caller."""
    row = caller.own(await plans.find(session, plan_id), "plan", plan_id)
    return await plans.load(session, row)


async def lock_plan(work: UnitOfWork, plan_id: UUID) -> LoadedPlan:
    """Return a plan of the caller, locked with its executions until the transaction ends.

    Every change of a plan locks it before its executions.
    """
    row = work.caller.own(await plans.find(work.session, plan_id), "plan", plan_id)
    await plans.find(work.session, row.id, lock=True)
    return await plans.load(work.session, row, lock=True)


async def delete_plan(work: UnitOfWork, plan_id: UUID, precondition: Precondition) -> None:
    """Delete a draft, or a plan that has ended; its executions stay.

    Raises:
        ConflictError: it has not ended.
    """
    plan = await lock_plan(work, plan_id)
    precondition(plan)
    if plan.is_active:
        raise ConflictError(f"The plan is {plan.status}; cancel it first.")
    before = audited_fields(plan.row, plan.steps)
    await plans.delete_plan(work.session, plan.row)
    entity = ("plan", plan.id)
    await work.record_audit("plan.delete", entity, before=before, owner_id=plan.user_id)


async def store_changes(
    work: UnitOfWork,
    plan: LoadedPlan,
    body: PlanCreate,
    *,
    without_executions: Collection[str] = (),
) -> None:
    """Store the changed definition of a locked plan; the other steps keep their executions."""
    row = plan.row
    await work.check_storage(plan.user_id, body)
    before = audited_fields(row, plan.steps)
    executions = {s.key: s for s in plan.steps if s.key not in without_executions}
    for field in PLAN_FIELDS:
        setattr(row, field, getattr(body, field))
    row.updated_at = datetime.now(UTC)
    await plans.replace_steps(work.session, row.id, make_steps(row.id, body, executions))
    await work.record_audit(
        "plan.update",
        ("plan", row.id),
        before=before,
        after=audited_fields(row, body.steps),
        owner_id=row.user_id,
    )


def make_steps(
    plan_id: UUID, body: PlanCreate, stored: Mapping[str, PlanStepRow]
) -> Sequence[PlanStepRow]:
    """Return the rows of the steps; those that are stored keep their executions."""
    rows = []
    for position, step in enumerate(body.steps):
        row = PlanStepRow(plan_id=plan_id, position=position, **dict(step))
        row.title = step.title or step.key
        row.depends_on = list(dict.fromkeys(step.depends_on))
        if before := stored.get(step.key):
            for field in _RUN_FIELDS:
                setattr(row, field, getattr(before, field))
        rows.append(row)
    return rows


def body_fields(plan: LoadedPlan) -> Mapping[str, Any]:
    """Return a plan as the fields of the body that creates it."""
    steps = [{field: getattr(step, field) for field in STEP_FIELDS} for step in plan.steps]
    return {**{field: getattr(plan.row, field) for field in PLAN_FIELDS}, "steps": steps}


def read_body(plan: LoadedPlan) -> PlanCreate:
    """Return a plan as the body that creates it."""
    return PlanCreate.model_validate(body_fields(plan))


def audited_fields(
    row: PlanRow, steps: Sequence[PlanStepRow] | Sequence[PlanStepBody]
) -> Mapping[str, Any]:
    """What the audit log records: no goals, no prompts."""
    budget = None if row.budget_usd is None else float(row.budget_usd)
    return {
        "title": row.title,
        "approval_required": row.approval_required,
        "budget_usd": budget,
        "steps": [step.key for step in steps],
    }


def refuse_changes_of_started(plan: LoadedPlan, body: PlanCreate) -> None:
    """Refuse a body that changes or removes a step that runs or is completed.

    Raises:
        InvalidInputError: it does; lists each of them.
    """
    if problems := list(_started_problems(plan, body)):
        raise InvalidInputError(INVALID, problems)


def _started_problems(plan: LoadedPlan, body: PlanCreate) -> Iterator[FieldProblem]:
    positions = {step.key: position for position, step in enumerate(body.steps)}
    stored = {step.key: step for step in make_steps(plan.id, body, {})}
    for step in plan.steps:
        if not is_started(plan, step):
            continue
        state = plan.state_of(step)
        is_now = f"Step {step.key!r} is {state.status}" if state else ""
        if step.key not in stored:
            text = f"{is_now} and must stay in the plan; send it as it is."
            yield FieldProblem(("body", "steps"), text, "step_started")
            continue
        for field in STEP_FIELDS:
            if getattr(stored[step.key], field) != getattr(step, field):
                text = f"{is_now}, so this can't change; send it as it is."
                yield FieldProblem(
                    ("body", "steps", positions[step.key], field), text, "step_started"
                )


def find_changed(plan: LoadedPlan, body: PlanCreate) -> frozenset[str]:
    """The steps of a body that are new, or differ from those of the plan."""
    stored = {step.key: step for step in plan.steps}
    return frozenset(
        step.key
        for step in make_steps(plan.id, body, {})
        if step.key not in stored
        or any(getattr(step, field) != getattr(stored[step.key], field) for field in STEP_FIELDS)
    )


def is_started(plan: LoadedPlan, step: PlanStepRow) -> bool:
    """Whether a step runs or is completed, so that its definition must stay as it is."""
    state = plan.state_of(step)
    if state is None or state.waits_for_steps or state.is_unstarted:
        return False
    return state.status is ExecutionStatus.COMPLETED or not state.status.is_terminal
