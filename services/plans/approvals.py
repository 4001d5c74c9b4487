"""Approvals of plans: a person approves, changes or refuses a plan before its first step starts."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from domain.errors import InvalidInputError
from domain.people.requests import RequestKind
from domain.plans.plan import INVALID, PLAN, PlanGraph
from persistence.executions import input_requests
from persistence.plans import plans
from persistence.plans.plans import LoadedPlan
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow
from services.definitions.updates import merge_update
from services.plans import steps
from services.plans.checks import check_plan
from services.plans.inputs import PlanCreate, PlanUpdate
from services.plans.plans import body_fields, find_changed, read_body, store_changes
from services.unit_of_work import UnitOfWork
from services.validation_messages import find_problems, refuse_field


async def open_request(
    work: UnitOfWork, plan: LoadedPlan, run: ExecutionRow, body: PlanCreate
) -> None:
    """Ask for the approval of a locked plan; the request names exactly these steps."""
    await input_requests.cancel_open(work.session, run.id)
    shown = json.dumps(body.model_dump(mode="json", exclude_unset=True), ensure_ascii=False)
    request = InputRequestRow(
        execution_id=run.id,
        user_id=plan.user_id,
        kind=RequestKind.PLAN_APPROVAL,
        title=f"Start the plan {plan.row.title!r}?",
        body=_describe(body),
        tool_name=PLAN,
        tool_input=shown,
        input_sha256=hashlib.sha256(shown.encode()).digest(),
        status="open",
        on_expiry="wait",
    )
    await input_requests.open_request(work.session, request)


def _describe(body: PlanCreate) -> str:
    """The goal and the steps by batches, as Markdown."""
    steps_by_key = {step.key: step for step in body.steps}
    graph = PlanGraph({step.key: step.depends_on for step in body.steps})
    lines = [body.goal, ""] if body.goal else []
    for number, batch in enumerate(graph.batches, 1):
        lines.append(f"Batch {number}:")
        lines += [f"- `{key}`: {steps_by_key[key].title or key}" for key in batch]
    return "\n".join(lines)


async def lock_plan_of(work: UnitOfWork, request: InputRequestRow) -> None:
    """Lock the plan that a request is about, with all its executions.

    So a step can't end while the executions of those that depend on it are created.
    """
    if request.kind != RequestKind.PLAN_APPROVAL:
        return
    row = await plans.find_by_execution(work.session, request.execution_id, lock=True)
    if row is not None:
        await plans.load(work.session, row, lock=True)


async def apply_decision(
    work: UnitOfWork, run: ExecutionRow, request: InputRequestRow, answer: Mapping[str, Any]
) -> None:
    """Create the executions of the approved steps, with the person's changes to them.

    The plan is locked with its executions (`lock_plan_of`). After `deny`, the plan's workflow ends
    it.

    Raises:
        InvalidInputError: the changed plan is invalid.
    """
    if request.kind != RequestKind.PLAN_APPROVAL or answer["decision"] == "deny":
        return
    row = await plans.find_by_execution(work.session, run.id, lock=True)
    if row is None:
        return
    plan = await plans.load(work.session, row)
    if answer["decision"] == "edit":
        body = _read_edit(plan, answer)
        checked = await check_plan(work, body, owner_id=plan.user_id)
        await store_changes(work, plan, body)
        plan = await plans.load(work.session, row)
    else:
        checked = await check_plan(work, read_body(plan), owner_id=plan.user_id)
    new = {step.key for step in plan.steps if step.execution_id is None}
    await steps.create_executions(work, plan, run, checked, new)


def _read_edit(plan: LoadedPlan, answer: Mapping[str, Any]) -> PlanCreate:
    """Return the plan with the steps of an answer; steps that have executions must stay.

    Raises:
        InvalidInputError: they are invalid.
    """
    try:
        update = PlanUpdate.model_validate_json(json.dumps(answer["input"]))
    except ValidationError as error:
        problems = find_problems(error, PlanUpdate, ("body", "input"))
        raise InvalidInputError(INVALID, problems) from error
    if update.model_fields_set - {"steps"}:
        hint = 'Only the steps can be edited; send {"steps": […]}, all of them.'
        raise refuse_field(INVALID, "input", hint)
    body = merge_update(PlanCreate, body_fields(plan), update, what="plan")
    fixed = {step.key for step in plan.steps if step.execution_id is not None}
    kept = {step.key for step in body.steps}
    if not fixed <= kept or fixed & find_changed(plan, body):
        hint = (
            f"These steps can't change any more; send them as they are: {', '.join(sorted(fixed))}."
        )
        raise refuse_field(INVALID, "input", hint)
    return body
