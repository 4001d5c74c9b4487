"""Pages of plans: the list, and one plan with its graph and its steps."""

import re
from functools import partial
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.http import paging
from api.plans.schemas import PlanQuery, render_plan, render_summary
from api.reports.rendering import render_plan_drawing, render_plan_file
from api.web import pages
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from domain.errors import PerdureError
from domain.plans.facts import PlanFacts
from persistence.plans import plans as stored_plans
from persistence.plans.plans import LoadedPlan
from persistence.reporting.plan_source import read_plan_facts
from services.executions.inputs import CancelBody
from services.plans import generation, plans, retrying, starting
from services.plans.inputs import PlanGenerate

router = APIRouter(prefix="/plans", include_in_schema=False, route_class=PageRoute)

_SIZE = re.compile(rb'width="([0-9.]+)" height="([0-9.]+)"')


@router.get("")
async def list_plans(request: Request, visit: Visiting) -> Response:
    """The plans of the viewer, newest first."""
    return await _render_list(request, visit)


@router.post("/generate")
async def generate_plan(request: Request, visit: Visiting, form: OwnForm) -> Response:
    """Let Claude write a plan for a goal, and show the execution that does."""
    try:
        form.require_sent()
        body = make_body(PlanGenerate, {"goal": form.text("goal")})
        row = await visit.perform(partial(generation.generate_plan, body=body))
    except SHOWN_ERRORS as error:
        return await _render_list(request, visit, form, error)
    return pages.redirect(f"/executions/{row.id}")


@router.get("/{plan_id}")
async def show_plan(request: Request, visit: Visiting, plan_id: UUID) -> Response:
    """A plan: its graph, and its steps with their states."""
    plan, facts = await _read(visit, plan_id)
    return pages.render(
        "plan.html.j2",
        **visit.layout,
        plan=render_plan(visit.call, plan),
        size=_measure(await render_plan_drawing(visit.call, facts)),
        address=paging.address(request),
    )


@router.get("/{plan_id}/graph.svg")
async def draw_plan(visit: Visiting, plan_id: UUID) -> Response:
    """The picture of a plan."""
    _, facts = await _read(visit, plan_id)
    return await render_plan_drawing(visit.call, facts)


@router.get("/{plan_id}/report")
async def show_report(visit: Visiting, plan_id: UUID) -> Response:
    """The report of a plan as it is now."""
    _, facts = await _read(visit, plan_id)
    return await render_plan_file(visit.call, facts, "html")


@router.post("/{plan_id}/start", dependencies=[FORM_IS_OWN])
async def start_plan(visit: Visiting, plan_id: UUID) -> Response:
    """Start a plan."""
    await visit.perform(partial(starting.start_plan, plan_id=plan_id))
    return pages.redirect(f"{router.prefix}/{plan_id}")


@router.post("/{plan_id}/cancel", dependencies=[FORM_IS_OWN])
async def cancel_plan(visit: Visiting, plan_id: UUID) -> Response:
    """Cancel a plan and its steps."""
    await visit.perform(partial(starting.cancel_plan, plan_id=plan_id, body=CancelBody()))
    return pages.redirect(f"{router.prefix}/{plan_id}")


@router.post("/{plan_id}/retry", dependencies=[FORM_IS_OWN])
async def retry_plan(visit: Visiting, plan_id: UUID, form: OwnForm) -> Response:
    """Run a step again, or all steps that were not completed."""
    key = form.text("key") or None
    await visit.perform(partial(retrying.retry_plan, plan_id=plan_id, key=key))
    return pages.redirect(f"{router.prefix}/{plan_id}")


async def _read(visit: Visit, plan_id: UUID) -> tuple[LoadedPlan, PlanFacts]:
    async with visit.call.gateway.database.reading() as session:
        plan = await plans.get_plan(session, visit.call.caller, plan_id)
        return plan, await read_plan_facts(session, plan)


def _measure(drawing: Response) -> tuple[str, str] | None:
    """The width and the height of a picture, so that the page reserves its space."""
    found = _SIZE.search(bytes(drawing.body))
    return None if found is None else (found[1].decode(), found[2].decode())


async def _render_list(
    request: Request, visit: Visit, form: Form | None = None, error: PerdureError | None = None
) -> Response:
    query = read_query(request, PlanQuery, lists={"status"})
    async with visit.call.gateway.database.reading() as session:
        user_id = visit.call.principal.user_id
        page = await stored_plans.page(session, user_id, query.status, query.window())
        listed = await stored_plans.describe_listed(session, page.rows)
    items = [render_summary(visit.call, plan) for plan in listed]
    shown = make_list(visit, query, page, items)
    values = {"list": shown, **form_values(form, error)}
    return pages.render("plans.html.j2", status_for(error), **visit.layout, **values)
