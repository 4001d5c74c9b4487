"""Pages of tasks and their schedules: define, run, dry-run, schedule."""

from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.executions.schemas import readable_views
from api.http.paging import ListQuery
from api.schedules.reading import read_schedule
from api.schedules.schemas import render_schedule_line
from api.tasks.dry_run_views import complete_dry_run
from api.tasks.schemas import TaskQuery, render_task
from api.web import pages, run_forms
from api.web.calendar_views import first_day, make_calendar
from api.web.cron_previews import preview_cron_fires
from api.web.definitions.tasks import TASK_PAGES
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from definitions.tasks import TaskDefinition
from domain.errors import PerdureError
from domain.schedules.cron import CronError
from domain.schedules.cron_words import describe_cron
from persistence.db.paging import Window
from persistence.definitions import schedules, tasks
from persistence.definitions.tasks import StoredTask
from persistence.executions import queries
from persistence.executions.queries import ExecutionFilter
from services.definitions import tasks as services
from services.executions import dry_running, starting
from services.executions.access import get_readable_task
from services.executions.inputs import DryRunBody, ExecuteBody

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LATEST_RUNS = 5

_CHANGED = "Another person has changed this task meanwhile. Open it again, then repeat your change."


class ScheduleQuery(ListQuery):
    """The page of the list, and the first day of the calendar."""

    start: date | None = None


@router.get("/tasks")
async def list_tasks(request: Request, visit: Visiting) -> Response:
    """The tasks of the viewer and the public ones, newest first."""
    query = read_query(request, TaskQuery, lists={"tags"})
    async with visit.call.gateway.database.reading() as session:
        user_id = visit.call.principal.user_id
        page = await tasks.page(session, user_id, query.filter(), query.window())
        page, stored = await tasks.load_definitions(session, page)
    items = [render_task(visit.call, task) for task in stored]
    shown = make_list(visit, query, page, items)
    is_filtered = bool(query.q or query.tags or query.is_scheduled is not None)
    return pages.render(
        "tasks.html.j2", **visit.layout, list=shown, query=query, is_filtered=is_filtered
    )


@router.get("/schedules")
async def list_schedules(request: Request, visit: Visiting) -> Response:
    """The scheduled tasks of the viewer with their next runs."""
    query = read_query(request, ScheduleQuery)
    first = first_day(query.start, visit.zone)
    async with visit.call.gateway.database.reading() as session:
        page = await schedules.page(session, visit.call.principal.user_id, query.window())
        known = await schedules.find_synchronised(session, [row.id for row in page.rows])
        calendar = await make_calendar(session, page.rows, first, visit.zone)
    lines = [render_schedule_line(row, is_synchronised=row.id in known) for row in page.rows]
    shown: dict[str, Any] = {"list": make_list(visit, query, page, lines), "calendar": calendar}
    return pages.render("schedules.html.j2", **visit.layout, **shown, words=_describe_cron)


@router.get("/tasks/cron")
async def preview_cron(request: Request, visit: Visiting) -> Response:
    """A cron expression in words, with its next run times. Forms name its fields by their paths."""
    given = {name.rpartition("/")[2]: value for name, value in request.query_params.items()}
    zone = given.get("schedule_timezone", "UTC")
    preview = preview_cron_fires(given.get("schedule_cron", ""), zone)
    return pages.render("cron.html.j2", **visit.layout, preview=preview)


TASK_PAGES.add_to(router)


@router.get("/tasks/{task_id}")
async def show_task(visit: Visiting, task_id: UUID) -> Response:
    """A task, its schedule and its latest runs."""
    stored, runs = await _read(visit, task_id)
    is_own = visit.call.caller.owns(stored.row.user_id)
    has_schedule = is_own and stored.row.is_scheduled
    schedule = await read_schedule(visit.call, task_id) if has_schedule else None
    return pages.render(
        "task.html.j2",
        **visit.layout,
        task=render_task(visit.call, stored),
        runs=runs,
        is_own=is_own,
        schedule=schedule,
        words=_describe_cron,
    )


@router.get("/tasks/{task_id}/run")
async def run_form(visit: Visiting, task_id: UUID) -> Response:
    """The variables of a run, as fields."""
    stored, _ = await _read(visit, task_id)
    return _render_run(visit, stored, Form())


@router.post("/tasks/{task_id}/run")
async def run_task(visit: Visiting, task_id: UUID, form: OwnForm) -> Response:
    """Start an execution and show it; or show what it would be."""
    stored, _ = await _read(visit, task_id)
    definition = TaskDefinition.model_validate(stored.definition)
    try:
        form.require_sent()
        members = run_forms.read_run(form, definition)
        if form.text("action") == "dry_run":
            return await _dry_run(visit, stored, form, make_body(DryRunBody, members))
        body = make_body(ExecuteBody, members)
        row = await visit.perform(partial(starting.start_task, task_id=task_id, body=body))
    except SHOWN_ERRORS as error:
        return _render_run(visit, stored, form, error)
    return pages.redirect(f"/executions/{row.id}")


@router.post("/tasks/{task_id}/schedule/{verb}", dependencies=[FORM_IS_OWN])
async def change_schedule(visit: Visiting, task_id: UUID, verb: str) -> Response:
    """Pause, resume or trigger a schedule."""
    if verb == "trigger":
        row = await visit.perform(partial(starting.trigger_schedule, task_id=task_id))
        return pages.redirect(f"/executions/{row.id}")
    enable = partial(services.enable_schedule, task_id=task_id, is_enabled=verb == "resume")
    await visit.perform(enable)
    return pages.redirect(f"/tasks/{task_id}")


async def _read(visit: Visit, task_id: UUID) -> tuple[StoredTask, Any]:
    """A task that the viewer may read, and its latest runs."""
    async with visit.call.gateway.database.reading() as session:
        stored = await get_readable_task(session, visit.call.caller, task_id)
        filters = ExecutionFilter(task_id=task_id)
        user_id = visit.call.principal.user_id
        page = await queries.page(session, user_id, filters, Window(LATEST_RUNS))
        runs = await readable_views(session, visit.call, page.rows)
    return stored, runs


async def _dry_run(visit: Visit, stored: StoredTask, form: Form, body: DryRunBody) -> Response:
    call = visit.call
    async with call.services.transaction(call.caller, dry_run=True) as work:
        result = await dry_running.dry_run(work, stored.row.id, body)
    return _render_run(visit, stored, form, dry_run=complete_dry_run(call.services, result))


def _render_run(
    visit: Visit,
    stored: StoredTask,
    form: Form,
    error: PerdureError | None = None,
    dry_run: Any = None,
) -> Response:
    definition = TaskDefinition.model_validate(stored.definition)
    return pages.render(
        "run.html.j2",
        status_for(error),
        **visit.layout,
        task=render_task(visit.call, stored),
        control=run_forms.make_variables_control(definition),
        budget=run_forms.budget_of(definition),
        dry_run=dry_run,
        **form_values(form, error),
    )


def _describe_cron(expression: str) -> str:
    """A cron expression in words; a stored one that is no longer valid as it is."""
    try:
        return describe_cron(expression)
    except CronError:
        return expression
