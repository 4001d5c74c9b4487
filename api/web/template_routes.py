"""Pages of task templates: define one, and create tasks from it."""

from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.http.paging import ListQuery
from api.web import pages, task_forms
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.page_route import PageRoute
from api.web.task_form_pages import render_form
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from domain.errors import InvalidInputError, PerdureError
from domain.nested_forms import Control, make_control, read_control
from persistence.tables.definitions import TaskTemplateRow
from services.definitions.inputs import TaskFromTemplate, TaskTemplateCreate, TaskTemplateUpdate
from services.definitions.task_templates import TASK_TEMPLATES, create_task_from_template

router = APIRouter(prefix="/templates", include_in_schema=False, route_class=PageRoute)


@router.get("")
async def list_templates(request: Request, visit: Visiting) -> Response:
    """The templates of the viewer and the public ones, newest first."""
    query = read_query(request, ListQuery)
    async with visit.call.gateway.database.reading() as session:
        page = await TASK_TEMPLATES.page(session, visit.call.caller, query.window())
    shown = make_list(visit, query, page, page.rows)
    return pages.render("templates.html.j2", **visit.layout, list=shown)


@router.get("/new")
async def new_template(visit: Visiting) -> Response:
    """The form of a new template."""
    return _render_form(visit, None, Form())


@router.post("")
async def create_template(visit: Visiting, form: OwnForm) -> Response:
    """Store a new template, and show it."""
    try:
        form.require_sent()
        body = make_body(TaskTemplateCreate, task_forms.read_template(form, {}, ()))
        row = await visit.perform(partial(TASK_TEMPLATES.create, body=body))
    except SHOWN_ERRORS as error:
        return _render_form(visit, None, form, error)
    return pages.redirect(f"{router.prefix}/{row.id}")


@router.get("/{template_id}")
async def show_template(visit: Visiting, template_id: UUID) -> Response:
    """A template, and the form that creates a task from it."""
    return _render(visit, await _find(visit, template_id), Form())


@router.post("/{template_id}")
async def create_task(visit: Visiting, template_id: UUID, form: OwnForm) -> Response:
    """Create a task from a template, and show it."""
    row = await _find(visit, template_id)
    try:
        form.require_sent()
        body = make_body(TaskFromTemplate, _read_task(form, row))
        service = partial(create_task_from_template, template_id=template_id, body=body)
        stored = await visit.perform(service)
    except SHOWN_ERRORS as error:
        return _render(visit, row, form, error)
    return pages.redirect(f"/tasks/{stored.row.id}")


@router.get("/{template_id}/edit")
async def edit_template(visit: Visiting, template_id: UUID) -> Response:
    """The form of a template of the viewer."""
    return _render_form(visit, await _find_own(visit, template_id), Form())


@router.post("/{template_id}/edit")
async def update_template(visit: Visiting, template_id: UUID, form: OwnForm) -> Response:
    """Change a template. Tasks that were created from it stay as they are."""
    row = await _find_own(visit, template_id)
    check = partial(pages.require_unchanged, form.text("version"))
    try:
        form.require_sent()
        members = task_forms.read_template(form, row.task, row.parameters)
        update = make_body(TaskTemplateUpdate, members)
        await visit.perform(lambda work: TASK_TEMPLATES.update(work, row.id, update, check))
    except SHOWN_ERRORS as error:
        return _render_form(visit, row, form, error)
    return pages.redirect(f"{router.prefix}/{row.id}")


@router.post("/{template_id}/delete", dependencies=[FORM_IS_OWN])
async def delete_template(visit: Visiting, template_id: UUID) -> Response:
    """Delete a template. Tasks that were created from it stay."""
    await visit.perform(lambda work: TASK_TEMPLATES.delete(work, template_id, lambda _: None))
    return pages.redirect(router.prefix)


async def _find(visit: Visit, template_id: UUID) -> TaskTemplateRow:
    async with visit.call.gateway.database.reading() as session:
        return await TASK_TEMPLATES.find(session, visit.call.caller, template_id)


async def _find_own(visit: Visit, template_id: UUID) -> TaskTemplateRow:
    row = await _find(visit, template_id)
    visit.call.caller.require_own(row.user_id, TASK_TEMPLATES.noun, template_id)
    return row


def _make_control(row: TaskTemplateRow) -> Control | None:
    """The control for the parameters of a template; None if it has none."""
    if not row.parameters:
        return None
    members: dict[str, Any] = {}
    for parameter in row.parameters:
        of = {"type": "string", "maxLength": 200, "description": parameter.get("description") or ""}
        default = parameter.get("default")
        members[parameter["name"]] = of if default is None else {**of, "default": default}
    required = [name for name, of in members.items() if "default" not in of]
    schema = {"type": "object", "properties": members, "required": required}
    return make_control("parameters", schema)


def _read_task(form: Form, row: TaskTemplateRow) -> dict[str, Any]:
    """The name of a new task and the values of the parameters.

    Raises:
        InvalidInputError: a value is missing.
    """
    members: dict[str, Any] = {"name": form.text("name").strip(), "parameters": {}}
    control = _make_control(row)
    if control is None:
        return members
    reading = read_control(control, form.entries)
    if reading.problems:
        raise InvalidInputError("Fill in the parameters.", reading.problems)
    return members if reading.is_empty else {**members, "parameters": reading.value}


def _render(
    visit: Visit, row: TaskTemplateRow, form: Form, error: PerdureError | None = None
) -> Response:
    return pages.render(
        "template.html.j2",
        status_for(error),
        **visit.layout,
        row=row,
        is_own=visit.call.caller.owns(row.user_id),
        control=_make_control(row),
        **form_values(form, error),
    )


def _render_form(
    visit: Visit, row: TaskTemplateRow | None, form: Form, error: PerdureError | None = None
) -> Response:
    return render_form(
        visit,
        task_forms.NEW if row is None else task_forms.fill_template(row),
        form,
        error,
        template="template_form.html.j2",
        task=row,
        version="" if row is None else pages.state_of(row),
        parameters=task_forms.fill_parameters(form, row.parameters if row else ()),
    )
