"""Plans that Claude writes: an execution whose result is a plan.

The plan is stored in the transaction that writes the end of the execution, so neither exists
without the other. An invalid plan is returned to the model as a message, which continues the
execution, at most `MOST_CORRECTIONS` times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import SdkOptions
from domain.agents.agent import Agent
from domain.errors import (
    ErrorCode,
    FieldProblem,
    InvalidInputError,
    PermissionDeniedError,
    QuotaExceededError,
)
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from domain.plans import generation as plan_generation
from domain.plans.generation import MOST_CORRECTIONS
from persistence.db import locks
from persistence.definitions import agents
from persistence.executions import lone_ends, queries, signals
from persistence.executions.fencing import RunIdentity
from persistence.executions.lifecycle import Ended
from persistence.executions.signals import append_signal
from persistence.plans import generations
from persistence.tables.executions import ExecutionRow
from persistence.tables.plans import PlanGenerationRow
from services.definitions.inline_work import make_title
from services.executions import finishing, starting
from services.executions.inputs import WorkBody
from services.plans.checks import check_plan
from services.plans.inputs import MOST_OFFERED, PlanCreate, PlanGenerate
from services.plans.plans import create_plan
from services.unit_of_work import UnitOfWork
from services.validation_messages import find_problems

REFUSED = "refused"
"""The type of a problem that the model can't correct."""


async def generate_plan(work: UnitOfWork, body: PlanGenerate) -> ExecutionRow:
    """Start the execution in which Claude writes a plan for a goal.

    Raises:
        InvalidInputError: an agent does not exist.
    """
    offered = await _find_offered(work.session, work.caller.user_id, body.agents)
    schema = dict(plan_generation.OUTPUT_SCHEMA)
    row = await starting.start_inline_work(
        work,
        WorkBody(
            title=body.title or f"Plan: {make_title(body.goal)}",
            prompt=plan_generation.write_prompt(body.goal, offered, body.max_steps),
            agent_id=body.agent_id,
            executor="claude",
            allowed_tools=(),
            max_budget_usd=body.max_budget_usd,
            sdk_options=SdkOptions(output_schema=schema),
        ),
    )
    request = body.model_copy(update={"agents": tuple(agent.slug for agent in offered)})
    await generations.store(work.session, row.id, request.model_dump(mode="json"))
    return row


async def _find_offered(
    session: AsyncSession, user_id: UUID, slugs: Sequence[str] | None
) -> Sequence[Agent]:
    """The agents with these names; without names the newest ones of the user.

    Raises:
        InvalidInputError: there is no such agent.
    """
    if slugs is None:
        slugs = (await agents.list_slugs(session, user_id, limit=MOST_OFFERED))[:MOST_OFFERED]
    found = await agents.find_all(session, user_id, slugs)
    problems = [
        FieldProblem(("body", "agents", position), f"You have no agent {slug!r:.80}.", "unknown")
        for position, slug in enumerate(slugs)
        if slug not in found
    ]
    if problems:
        raise InvalidInputError("The plan can't be generated; see errors.", problems)
    return [found[slug] for slug in dict.fromkeys(slugs)]


async def finish(
    work: UnitOfWork,
    execution_id: UUID,
    run: RunIdentity,
    *,
    status: ExecutionStatus,
    error_code: ErrorCode | None,
    report_failed: bool = False,
) -> Ended:
    """Write the end of any execution, with the plan that it has written, if it is to write one.

    Raises as `finishing.finish`.
    """
    if status is ExecutionStatus.COMPLETED:
        if work.is_one_service and not report_failed:
            end = await lone_ends.complete(work.services.database.raw, execution_id, run)
            if end is not None:
                return end
        wanted = await generations.find(work.session, execution_id)
        if wanted is not None and wanted.plan_id is None:
            status, error_code = await _make_plan(work, wanted)
    return await finishing.finish(
        work.session,
        execution_id,
        run,
        status=status,
        error_code=error_code,
        report_failed=report_failed,
    )


async def _make_plan(
    work: UnitOfWork, wanted: PlanGenerationRow
) -> tuple[ExecutionStatus, ErrorCode | None]:
    """Store the plan, or return it to the model, or refuse it; returns how the execution ends.

    With a message to read, the execution continues whatever status is asked for.
    """
    row = await queries.find(work.session, wanted.execution_id)
    if row is None:
        return ExecutionStatus.COMPLETED, None
    for_owner = replace(work, caller=replace(work.caller, user_id=row.user_id))
    body, problems = await _read_plan(for_owner, row, wanted)
    is_last = wanted.corrections >= MOST_CORRECTIONS or any(p.type == REFUSED for p in problems)
    is_refused = bool(problems) and is_last
    status = ExecutionStatus.FAILED if is_refused else ExecutionStatus.COMPLETED
    await locks.lock_for_end(work.session, row.id, status)
    row = await queries.lock_existing(work.session, row.id)
    if not await _may_end(work.session, row):
        return ExecutionStatus.COMPLETED, None
    if body is not None:
        await _store_plan(for_owner, row, wanted, body)
    elif is_refused:
        row.error_message = plan_generation.explain_failure(problems)
        return status, ErrorCode.OUTPUT_INVALID
    else:
        wanted.corrections += 1
        content = plan_generation.ask_for_correction(problems)
        await append_signal(work.session, row.id, SignalKind.MESSAGE, {"content": content})
    return status, None


async def _may_end(session: AsyncSession, row: ExecutionRow) -> bool:
    """Whether a locked execution ends with this result: no cancellation and no message came."""
    if row.cancel_requested_at is not None or ExecutionStatus(row.status).is_terminal:
        return False
    unread = await signals.list_unread(session, row.id)
    return all(signal.kind != SignalKind.MESSAGE for signal in unread)


async def _read_plan(
    work: UnitOfWork, row: ExecutionRow, wanted: PlanGenerationRow
) -> tuple[PlanCreate | None, Sequence[FieldProblem]]:
    """The plan in the result of an execution, or what is wrong with it."""
    request = PlanGenerate.model_validate(wanted.request)
    try:
        body = PlanCreate.model_validate(_fields(request, (row.result_data or {}).get("output")))
    except ValidationError as error:
        return None, find_problems(error, PlanCreate, ("body",))
    steps = [(step.key, step.agent_id) for step in body.steps]
    known = request.agents or ()
    if problems := list(plan_generation.find_unusable(steps, known, request.max_steps)):
        return None, problems
    try:
        await check_plan(work, body, owner_id=row.user_id)
        await work.check_storage(row.user_id, body)
    except InvalidInputError as error:
        return None, error.problems
    except (QuotaExceededError, PermissionDeniedError) as error:
        return None, [FieldProblem(("body",), str(error), REFUSED)]
    return body, ()


def _fields(request: PlanGenerate, output: object) -> Mapping[str, Any]:
    """The body of the plan: what the model wrote, with what the request decides."""
    written = output if isinstance(output, dict) else {}
    return {
        **written,
        "title": request.title or written.get("title"),
        "goal": request.goal,
        "approval_required": request.approval_required,
        "budget_usd": request.budget_usd,
        "max_parallel": request.max_parallel,
    }


async def _store_plan(
    work: UnitOfWork, row: ExecutionRow, wanted: PlanGenerationRow, body: PlanCreate
) -> None:
    plan = await create_plan(work, body)
    wanted.plan_id = plan.id
    row.result_data = {**(row.result_data or {}), "plan_id": str(plan.id)}
    await work.session.flush()
