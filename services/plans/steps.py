"""The executions of the steps of a plan: created with their prerequisites, and replaced."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from domain.executions.states import PREREQUISITES, ExecutionStatus
from domain.ids import new_id
from domain.plans.plan import NOT_COMPLETED, STEP_TRIGGER
from persistence.executions import creation, lifecycle, prerequisites
from persistence.executions.creation import Start
from persistence.plans import plans
from persistence.plans.plans import ExecutionState, LoadedPlan
from persistence.tables.executions import ExecutionRow
from persistence.tables.plans import PlanStepRow
from services.plans.checks import CheckedPlan
from services.unit_of_work import UnitOfWork


async def create_executions(
    work: UnitOfWork,
    plan: LoadedPlan,
    run: ExecutionRow,
    checked: CheckedPlan,
    keys: Collection[str],
    *,
    are_retries: bool = False,
) -> None:
    """Create the executions of these steps of a locked plan, below a locked run.

    A step is blocked until the steps that it depends on are completed. If one of them can't be
    completed any more, the step fails at once, with all that depend on it. Their ids are in the
    order of the dependencies, which is the order of locks (`persistence/db/locks.py`).
    """
    await work.services.quotas.check(work.session, plan.user_id, adding=len(keys))
    await work.services.storage.check(work.session, plan.user_id)
    ordered = [key for key in checked.graph.in_order if key in keys]
    ids = dict(zip(ordered, sorted(new_id() for _ in ordered), strict=True))
    rows = {step.key: step for step in plan.steps}
    needed = {
        key: [ids.get(other) or _execution_of(rows[other]) for other in rows[key].depends_on]
        for key in ordered
    }
    starts = []
    for key in ordered:
        row = rows[key]
        is_blocked = any(not _is_completed(plan, other) for other in needed[key])
        start = Start(
            id=ids[key],
            work=checked.works[key].work,
            actor=work.caller.actor,
            retry_of_id=row.execution_id if are_retries else None,
            warnings=checked.works[key].warnings,
            parent=run,
            **_describe(plan, row),
        )
        starts.append((start, PREREQUISITES if is_blocked else None))
    if starts:
        await creation.store_all(work.session, starts)
    for key in ordered:
        row = rows[key]
        row.execution_id, row.reported_status, row.start_segment = ids[key], None, None
    await work.session.flush()
    await prerequisites.store_all(work.session, {ids[key]: needed[key] for key in ordered})
    await _fail_unmeetable(work, plan, needed)


def _describe(plan: LoadedPlan, row: PlanStepRow) -> dict[str, Any]:
    return {
        "user_id": plan.user_id,
        "trigger_type": STEP_TRIGGER,
        "action": "plan.create_step",
        "trigger_metadata": {"plan_id": str(plan.id), "step": row.key},
        "budget_usd": row.budget_usd,
    }


def _execution_of(row: PlanStepRow) -> UUID:
    if row.execution_id is None:
        raise ValueError(f"step {row.key!r} has no execution")
    return row.execution_id


def _is_completed(plan: LoadedPlan, execution_id: UUID) -> bool:
    state = plan.states.get(execution_id)
    return state is not None and state.status is ExecutionStatus.COMPLETED


async def _fail_unmeetable(
    work: UnitOfWork, plan: LoadedPlan, needed: Mapping[str, Collection[UUID]]
) -> None:
    """Fail the new executions that need one that has failed or was cancelled."""
    ended = {
        other: plan.states[other].status
        for others in needed.values()
        for other in others
        if other in plan.states and plan.states[other].status in NOT_COMPLETED
    }
    if ended:
        await prerequisites.fail(work.session, ended)


async def cancel_executions(work: UnitOfWork, states: Collection[ExecutionState]) -> None:
    """Cancel locked executions of steps that have not begun, and fail what else waits for them."""
    ids = [state.id for state in states if not state.status.is_terminal]
    if not ids:
        return
    status = ExecutionStatus.CANCELLED
    ended = await lifecycle.end(work.session, dict.fromkeys(ids), status)
    await prerequisites.fail(work.session, {e.id: e.status for e in ended if e.is_awaited})


async def reload(work: UnitOfWork, plan: LoadedPlan) -> LoadedPlan:
    """Return a plan as it is after executions of its steps have changed."""
    return await plans.load(work.session, plan.row)
