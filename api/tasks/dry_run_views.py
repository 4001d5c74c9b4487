"""Dry runs as clients read them."""

from collections.abc import Iterator
from decimal import Decimal

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.http.request_context import Call
from api.http.responses import answer
from api.tasks.schemas import DryRunRead, ForecastRead, OfferRead, SpreadRead
from definitions.tasks import TaskDefinition
from domain.agents.agent import system_prompt_of
from domain.model import pricing
from domain.rules import problems as rule_problems
from domain.rules.permissions import KNOWN_TOOLS
from domain.templates import render
from domain.tools.offers import Offer, offers
from domain.tools.requirements import unmet_requirement
from domain.web.network import NetworkList
from persistence.ledger.forecasts import Forecast
from services.definitions.warnings import (
    definition_warnings,
    model_warnings,
    network_warnings,
)
from services.executions.dry_running import DryRunResult
from services.unit_of_work import Services


async def respond_dry_run(call: Call, _: AsyncSession, result: DryRunResult) -> Response:
    """Respond with what an execution would be."""
    return answer(complete_dry_run(call.services, result))


def complete_dry_run(services: Services, result: DryRunResult) -> DryRunRead:
    """Return what an execution would be, with all warnings."""
    operator = services.settings.network
    rendered = render_dry_run(result, operator)
    more = [
        *network_warnings(result.start.work.definition, operator),
        *model_warnings(services.models, result.model),
        *result.warnings,
    ]
    return rendered.model_copy(update={"warnings": [*rendered.warnings, *more]})


def render_dry_run(result: DryRunResult, operator: NetworkList) -> DryRunRead:
    """Return what an execution would be; `operator` is what the server's tools may connect to."""
    start, work = result.start, result.start.work
    definition = work.definition
    if work.task_id is None or work.task_version is None:
        raise LookupError("a dry run is one of a task")
    variables = {**definition.default_variables, **start.known_variables, **start.variables}
    rendered = render(definition.prompt_template, variables)
    agent_prompt = result.agent.system_prompt if result.agent else None
    budget = start.budget_usd or definition.sdk_options.max_budget_usd
    task_links = links.task(work.task_id)
    return DryRunRead(
        task_id=work.task_id,
        task_version=work.task_version,
        rendered_prompt=rendered.text,
        missing_variables=list(rendered.missing),
        system_prompt=system_prompt_of(agent_prompt, definition.system_prompt),
        agent_id=definition.agent_id,
        model=result.model,
        model_is_priced=pricing.is_priced(result.model),
        permission_mode=definition.sdk_options.permission_mode,
        tools=[OfferRead.model_validate(offer) for offer in _offers(definition)],
        network=list(definition.allowed_network.intersection(operator).texts()),
        budget_usd=budget,
        forecast=_render_forecast(result.forecast),
        warnings=list(_warnings(definition, result.forecast, budget)),
        links={
            "self": task_links["dry_run"],
            "task": task_links["self"],
            "execute": task_links["execute"],
        },
    )


def _offers(definition: TaskDefinition) -> Iterator[Offer]:
    """The tools that an execution offers, without those that need what the task does not have."""
    given = definition.resources
    tools = [tool for tool in KNOWN_TOOLS if unmet_requirement(tool, given) is None]
    return offers(definition.permissions, tools)


def _render_forecast(forecast: Forecast) -> ForecastRead:
    spreads = {name: SpreadRead.model_validate(s) for name, s in forecast.spreads.items()}
    return ForecastRead(executions=forecast.executions, **spreads)


def _warnings(
    definition: TaskDefinition, forecast: Forecast, budget: Decimal | None
) -> Iterator[str]:
    yield from definition_warnings(definition)
    cost = forecast.spreads.get("cost_usd")
    if budget is not None and cost is not None and cost.p90 > budget:
        yield (
            f"One in ten past executions cost over {cost.p90:.4f} USD; the budget is {budget} USD."
        )
    turns, max_turns = forecast.spreads.get("turns"), definition.sdk_options.max_turns
    if max_turns is not None and turns is not None and turns.p90 > max_turns:
        yield (
            f"One in ten past executions took over {turns.p90:.0f} turns; max_turns is {max_turns}."
        )
    rules = [*definition.allowed_tools, *definition.ask_tools]
    # A stored task may be older than the check that refuses such rules.
    for problem in rule_problems.problems([*rules, *definition.disallowed_tools]):
        yield problem.msg
    if remote := [rule for rule in rules if rule.startswith("mcp__")]:
        reason = (
            "an execution lists the tools of its MCP servers when it starts"
            if definition.sdk_options.mcp_servers
            else "sdk_options.mcp_servers names no server"
        )
        yield f"Not checked, because {reason}: {', '.join(remote)}."
