"""Pages of task templates: define one, and create tasks from it."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field as Bounds

from api.web import pages
from api.web.definitions.forms import Field, Section
from api.web.definitions.resource_pages import DefinitionPages, ResourceStore
from api.web.definitions.task_fields import (
    BASICS,
    NEW,
    SECTIONS,
    TaskFields,
    complete_task,
    show_task,
)
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.page_route import PageRoute
from api.web.visits import Form, OwnForm, Visit, Visiting
from domain.errors import InvalidInputError, PerdureError
from domain.people.form_entries import read_control
from domain.people.nested_forms import Control, make_control
from domain.text import as_text
from persistence.tables.definitions import TaskTemplateRow
from reports.phrases import count_of
from services.definitions.inputs import (
    SCHEDULE_FLAGS,
    Parameter,
    TaskFromTemplate,
    TaskTemplateCreate,
    TaskTemplateUpdate,
)
from services.definitions.task_templates import TASK_TEMPLATES, create_task_from_template
from services.unit_of_work import Precondition, UnitOfWork

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_OF_ITS_TASKS = (
    Field("task/description", "Description of its tasks", is_short=True),
    Field("task/prompt_template", "Prompt"),
)
_PARAMETERS = Field(
    "parameters", "Placeholders of the prompt", "One without a default must be filled in."
)


class ParameterForm(Parameter):
    """A parameter in a form, which has texts only."""

    default: Annotated[str | None, Bounds(description="")] = None


class TemplateForm(TaskTemplateCreate):
    """A template in a form."""

    parameters: Annotated[tuple[ParameterForm, ...], Bounds(max_length=50)] = ()
    task: TaskFields


class TemplateStore(ResourceStore):
    """Stores forms of templates."""

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> TaskTemplateRow:
        """Create a template (`DefinitionStore.create`)."""
        members["task"] = complete_task(members["task"])
        row: TaskTemplateRow = await super().create(work, members)
        return row

    async def update(
        self, work: UnitOfWork, key: UUID, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Change a template; a default that was not changed stays the value that it was."""
        row = await TASK_TEMPLATES.find(work.session, work.caller, key)
        known = {of["name"]: of.get("default") for of in row.parameters}
        for parameter in members.get("parameters", ()):
            before = known.get(parameter.get("name"))
            if before is not None and _write_default(before) == parameter.get("default"):
                parameter["default"] = before
        if "task" in members:
            task = members["task"] = complete_task(members["task"])
            if row.task.get("schedule_cron") == task.get("schedule_cron"):
                task |= {flag: row.task[flag] for flag in SCHEDULE_FLAGS if flag in row.task}
        await super().update(work, key, members, precondition)


def _read_template(row: TaskTemplateRow) -> Mapping[str, Any]:
    parameters = [{**of, "default": _write_default(of.get("default"))} for of in row.parameters]
    return {
        **TASK_TEMPLATES.body_fields(row),
        "parameters": parameters,
        "task": show_task(row.task),
    }


def _write_default(value: Any) -> str | None:
    return None if value is None else as_text(value)


def _facts(row: TaskTemplateRow) -> list[str]:
    names = ", ".join(of["name"] for of in row.parameters)
    parameters = count_of(len(row.parameters), "parameter") + (f": {names}" if names else "")
    return [*(["public"] if row.is_public else []), parameters]


TEMPLATE_PAGES = DefinitionPages(
    path="/templates",
    texts={
        "title": "Templates",
        "noun": "template",
        "lead": "Tasks with parameters. Fill them in, and a template becomes a task.",
        "empty": "Write a task once with placeholders such as {{ customer }}, and make a task for "
        "each customer from it.",
        "change": "Placeholders of the parameters get their values when a task is created; other "
        "placeholders become variables of its runs.",
        "delete": "Tasks that were created from it stay.",
    },
    store=TemplateStore(TASK_TEMPLATES, TaskTemplateCreate, TaskTemplateUpdate),
    model=TemplateForm,
    sections=(
        Section("", (*BASICS, *_OF_ITS_TASKS)),
        Section("Parameters", (_PARAMETERS,)),
        *(section.nest("task") for section in SECTIONS),
        Section("Sharing", (Field("is_public", "Others may create tasks from it"),)),
    ),
    new={"task": NEW},
    read_row=_read_template,
    facts=_facts,
    list_rows=TASK_TEMPLATES.page,
    key="template_id",
    base="task",
    has_own_page=True,
)


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
