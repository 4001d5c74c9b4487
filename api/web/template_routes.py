"""Pages of task templates: define one, and create tasks from it."""

from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from api.web import pages
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.page_route import PageRoute
from api.web.task_definitions import TEMPLATE_PAGES
from api.web.visits import Form, OwnForm, Visit, Visiting
from domain.errors import InvalidInputError, PerdureError
from domain.form_entries import read_control
from domain.nested_forms import Control, make_control
from persistence.tables.definitions import TaskTemplateRow
from services.definitions.inputs import TaskFromTemplate
from services.definitions.task_templates import TASK_TEMPLATES, create_task_from_template

router = APIRouter(include_in_schema=False, route_class=PageRoute)


TEMPLATE_PAGES.add_to(router)


@router.get("/templates/{template_id}")
async def show_template(visit: Visiting, template_id: UUID) -> Response:
    """A template, and the form that creates a task from it."""
    return _render(visit, await _find(visit, template_id), Form())


@router.post("/templates/{template_id}")
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


async def _find(visit: Visit, template_id: UUID) -> TaskTemplateRow:
    async with visit.call.gateway.database.reading() as session:
        return await TASK_TEMPLATES.find(session, visit.call.caller, template_id)


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
