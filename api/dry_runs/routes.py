"""Dry runs: validate and forecast an execution without starting it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api import links
from api.dry_runs.schemas import DryRunBody, DryRunRead, ForecastRead, OfferRead, SpreadRead
from api.http.bodies import JsonBody
from api.http.request_context import Called
from api.http.responses import answer
from contracts.definitions import TaskDefinition
from domain import pricing
from domain.agents import Agent, system_prompt_of
from domain.offers import offers
from domain.templates import render
from persistence.executions.creation import Start
from persistence.executions.snapshot import permissions_of
from persistence.ledger import forecasts
from persistence.ledger.forecasts import Forecast
from services.definitions import task_rules
from services.executions import starting
from services.executions.access import readable_task
from services.executions.inputs import ExecuteBody
from services.scheduling.variables import with_schedule_variables
from services.unit_of_work import UnitOfWork

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.post("/{task_id}/dry-run", responses={200: {"model": DryRunRead}})
async def dry_run(
    call: Called,
    task_id: UUID,
    body: Annotated[DryRunBody, Depends(JsonBody(DryRunBody, optional=True))],
) -> Response:
    """Validate an execution of a task, render its prompt and forecast its cost.

    Returns the same errors as `execute`. Calls no model and stores nothing.
    """
    async with call.gateway.database.reading() as session:
        task = await readable_task(session, call.caller, task_id)
        execution = ExecuteBody(variables=body.variables, max_budget_usd=body.max_budget_usd)
        work = UnitOfWork(session, call.caller, call.services)
        wanted = starting.start_of_body(work, starting.active_work_of(task), execution)
        wanted = await with_schedule_variables(session, wanted, datetime.now(UTC))
        strict = body.strict_variables
        agent = await starting.check_start(work, wanted, strict_variables=strict)
        past = await forecasts.make_forecast(session, task_id, wanted.user_id)
    model = task_rules.model_of(wanted.work.definition, agent, call.gateway.settings.model)
    return answer(_read(wanted, agent, model, past))


def _read(wanted: Start, agent: Agent | None, model: str, past: Forecast) -> DryRunRead:
    work = wanted.work
    definition = work.definition
    if work.task_id is None or work.task_version is None:
        raise LookupError("a dry run needs a task")
    rendered = render(
        definition.prompt_template,
        {**definition.default_variables, **wanted.known_variables, **wanted.variables},
    )
    spoken = agent.system_prompt if agent else None
    budget = wanted.budget_usd or definition.sdk_options.max_budget_usd
    path = links.task(work.task_id)
    return DryRunRead(
        task_id=work.task_id,
        task_version=work.task_version,
        rendered_prompt=rendered.text,
        missing_variables=list(rendered.missing),
        system_prompt=system_prompt_of(spoken, definition.system_prompt),
        agent_id=definition.agent_id,
        model=model,
        model_is_priced=pricing.is_priced(model),
        permission_mode=definition.sdk_options.permission_mode,
        tools=[OfferRead.model_validate(offer) for offer in offers(permissions_of(definition))],
        budget_usd=budget,
        forecast=_forecast(past),
        warnings=list(_warnings(definition, past, budget)),
        links={"self": path["dry_run"], "task": path["self"], "execute": path["execute"]},
    )


def _forecast(past: Forecast) -> ForecastRead:
    spreads = {name: SpreadRead.model_validate(s) for name, s in past.spreads.items()}
    return ForecastRead(executions=past.executions, **spreads)


def _warnings(definition: TaskDefinition, past: Forecast, budget: Decimal | None) -> Iterator[str]:
    cost = past.spreads.get("cost_usd")
    if budget is not None and cost is not None and cost.p90 > budget:
        yield (
            f"One in ten past executions cost more than {cost.p90:.4f} USD; "
            f"the budget is {budget} USD."
        )
    turns, most = past.spreads.get("turns"), definition.sdk_options.max_turns
    if most is not None and turns is not None and turns.p90 > most:
        yield f"One in ten past executions took over {turns.p90:.0f} turns; max_turns is {most}."
    named = [*definition.allowed_tools, *definition.ask_tools]
    if remote := [name for name in named if name.startswith("mcp__")]:
        yield f"Tools of MCP servers are not available yet: {', '.join(remote)}."
