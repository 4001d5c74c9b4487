"""Routes of plans: steps that depend on each other, and run as one."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.waiting import ACCEPTED, Wait, start_and_wait
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing
from api.http.rendering import render_items
from api.http.request_context import Call, Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import answer
from api.links import BASE
from api.plans.schemas import PlanQuery, PlanRead, PlanSummaryRead, render_plan, render_summary
from api.reports.rendering import (
    DRAWING_RESPONSES,
    FILE_RESPONSES,
    FormatName,
    render_plan_drawing,
    render_plan_file,
)
from persistence.plans import plans as stored_plans
from persistence.plans.plans import LoadedPlan
from persistence.reporting.plan_source import read_plan_facts
from reports.render import format_of
from services.executions.inputs import CancelBody
from services.plans import changing, generation, plans, retrying, starting
from services.plans.inputs import PlanCreate, PlanGenerate, PlanUpdate, StepKey

router = APIRouter(prefix=f"{BASE}/plans", tags=["plans"])


@router.get("", responses={200: {"model": Listing[PlanSummaryRead]}})
async def list_plans(call: Called, query: Annotated[PlanQuery, Query()]) -> Response:
    """List your plans, newest first, without their steps."""
    async with call.gateway.database.reading() as session:
        user_id = call.principal.user_id
        page = await stored_plans.page(session, user_id, query.status, query.window())
        listed = await stored_plans.describe_listed(session, page.rows)
    return render_items(call, query, page, [render_summary(call, plan) for plan in listed])


@router.post("/generate", status_code=202, responses=ACCEPTED)
async def generate_plan(
    call: Called, body: Annotated[PlanGenerate, Depends(JsonBody(PlanGenerate))], wait: Wait = 0
) -> Response:
    """Let Claude write a plan for a goal.

    The response is the execution that writes it. When it is completed, `result_data.plan_id` is the
    plan, a draft to read, change and start. Steps that are invalid are returned to Claude; if they
    stay invalid, the execution fails with `output_invalid`.
    """
    return await start_and_wait(call, partial(generation.generate_plan, body=body), wait)


@router.get("/{plan_id}/report", response_class=Response, responses=FILE_RESPONSES)
async def get_plan_report(call: Called, plan_id: UUID, name: FormatName = None) -> Response:
    """Get a report of a plan as it is now: goal, graph, results, time, cost and failures."""
    format_name = name or "html"
    format_of(format_name)
    async with call.gateway.database.reading() as session:
        plan = await plans.get_plan(session, call.caller, plan_id)
        facts = await read_plan_facts(session, plan)
    return await render_plan_file(call, facts, format_name)


@router.get("/{plan_id}/graph.svg", response_class=Response, responses=DRAWING_RESPONSES)
async def get_plan_graph(call: Called, plan_id: UUID) -> Response:
    """Get a picture of the steps of a plan, their dependencies and their states."""
    async with call.gateway.database.reading() as session:
        plan = await plans.get_plan(session, call.caller, plan_id)
        facts = await read_plan_facts(session, plan)
    return await render_plan_drawing(call, facts)


routes = ResourceRoutes(router, "plan", PlanRead, render_plan, "/{plan_id}", path_key("plan_id"))
routes.add_create(plans.create_plan, PlanCreate, "Create a plan as a draft. `start` starts it.")
routes.add_get(plans.get_plan, "Get a plan with its steps and their progress.")
routes.add_update(
    changing.update_plan,
    PlanUpdate,
    "Change a plan. `steps` are replaced completely; those that run or are completed must stay as "
    "they are.",
)
routes.add_delete(
    plans.delete_plan, "Delete a draft, or a plan that has ended. Its executions stay."
)

CHANGED: dict[int | str, dict[str, Any]] = {202: {"model": PlanRead}}


async def _respond_accepted(call: Call, _: AsyncSession, plan: LoadedPlan) -> Response:
    return answer(render_plan(call, plan), 202)


@router.post("/{plan_id}/start", status_code=202, responses=CHANGED)
async def start_plan(call: Called, plan_id: UUID) -> Response:
    """Start a plan. If it requires an approval, a person has to answer an input request first."""
    service = partial(starting.start_plan, plan_id=plan_id)
    return await run_service(call, service, _respond_accepted)


@router.post("/{plan_id}/cancel", status_code=202, responses=CHANGED)
async def cancel_plan(
    call: Called,
    plan_id: UUID,
    body: Annotated[CancelBody, Depends(JsonBody(CancelBody, optional=True))],
) -> Response:
    """Cancel a plan and its steps."""
    service = partial(starting.cancel_plan, plan_id=plan_id, body=body)
    return await run_service(call, service, _respond_accepted)


@router.post("/{plan_id}/retry", status_code=202, responses=CHANGED)
async def retry_plan(call: Called, plan_id: UUID) -> Response:
    """Run all steps again that were not completed. Completed steps stay."""
    service = partial(retrying.retry_plan, plan_id=plan_id)
    return await run_service(call, service, _respond_accepted)


@router.post("/{plan_id}/steps/{key}/retry", status_code=202, responses=CHANGED)
async def retry_plan_step(call: Called, plan_id: UUID, key: Annotated[StepKey, Path()]) -> Response:
    """Run a failed or cancelled step again, and the steps that could not run because of it."""
    service = partial(retrying.retry_plan, plan_id=plan_id, key=key)
    return await run_service(call, service, _respond_accepted)
