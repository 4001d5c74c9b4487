"""Task templates: tasks with parameters, from which tasks are created."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from domain import templates
from domain.errors import FieldProblem, InvalidInputError
from domain.people.requests import OWNERS_PEOPLE
from persistence.definitions.tasks import StoredTask
from persistence.tables.definitions import TaskTemplateRow
from services.definitions import task_rules
from services.definitions.inputs import (
    Parameter,
    TaskBody,
    TaskCreate,
    TaskFromTemplate,
    TaskTemplateCreate,
)
from services.definitions.resources import NamedResource
from services.definitions.task_rules import SHARED_CHARACTERS
from services.definitions.tasks import create_task
from services.definitions.updates import validate_fields
from services.unit_of_work import UnitOfWork

FILLED_FIELDS = ("prompt_template", "system_prompt", "description")
"""The fields of a task in which parameters get their values."""


OWN_FIELDS = (
    "notification_config",
    "is_public",
    *(field for field in TaskBody.model_fields if "schedule" in field),
)
"""Fields that never apply to the tasks that other users create from a template, as the `assignee`
of the policy: the template's owner would see their tasks, start them or answer for them."""

_NOT_PUBLIC = "A public template cannot set this; set it on the tasks that are created from it."


class TaskTemplates(NamedResource[TaskTemplateRow, TaskTemplateCreate]):
    """The declaration of task templates."""

    entity, noun = "task_template", "task template"
    table, create_model = TaskTemplateRow, TaskTemplateCreate

    async def check(self, work: UnitOfWork, row: TaskTemplateRow, body: TaskTemplateCreate) -> None:
        """Check the parameters, and the task with its placeholders as any other task."""
        if problems := [*_parameter_problems(body), *_sharing_problems(body)]:
            raise InvalidInputError("The template is invalid; see errors.", problems)
        before = None
        if row.task is not None:
            before = _task_of(TaskTemplateCreate.model_validate(self.body_fields(row)))
        await task_rules.check_task(work, _task_of(body), owner_id=row.user_id, before=before)

    def columns(
        self, work: UnitOfWork, row: TaskTemplateRow, body: TaskTemplateCreate
    ) -> Mapping[str, Any]:
        """Return the columns; the task and the parameters are stored as they were sent."""
        del work, row
        return body.model_dump(mode="json", include={"name", "description", "is_public"}) | {
            "parameters": [p.model_dump(mode="json", exclude_unset=True) for p in body.parameters],
            "task": body.task.model_dump(mode="json", exclude_unset=True),
        }

    def audited_fields(self, row: TaskTemplateRow) -> Mapping[str, Any]:
        """Return the name and whether other users can use the template."""
        return {"name": row.name, "is_public": row.is_public}


TASK_TEMPLATES = TaskTemplates()


async def create_task_from_template(
    work: UnitOfWork, template_id: UUID, body: TaskFromTemplate
) -> StoredTask:
    """Create a task of the caller from a template, with values for its parameters."""
    template = await TASK_TEMPLATES.find(work.session, work.caller, template_id)
    parameters = [Parameter.model_validate(parameter) for parameter in template.parameters]
    is_own = template.user_id == work.caller.user_id
    shared = template.task if is_own else _without_own_fields(template.task)
    task = fill_template(shared, parameters, body)
    return await create_task(work, task, template_id=template_id)


def fill_template(
    task: Mapping[str, Any], parameters: Sequence[Parameter], body: TaskFromTemplate
) -> TaskCreate:
    """Return the task with its parameters filled in and its fields overridden.

    A value that contains a placeholder becomes a variable of the new task.
    """
    values = {p.name: p.default for p in parameters} | body.parameters
    problems = list(_value_problems(parameters, body.parameters))
    if problems := problems or list(_length_problems(task, values)):
        raise InvalidInputError("The template cannot be filled in; see errors.", problems)
    texts = {
        field: templates.render(task[field], values).text
        for field in FILLED_FIELDS
        if task.get(field) is not None
    }
    overrides = {f: getattr(body.overrides, f) for f in body.overrides.model_fields_set}
    fields = {**_with_required_fields(task), **texts, **overrides, "name": body.name}
    return validate_fields(TaskCreate, fields, "The task from this template")


def _without_own_fields(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task of another user's template, without what is only for the owner of the template."""
    kept = {field: value for field, value in task.items() if field not in OWN_FIELDS}
    if policy := kept.get("human_input_policy"):
        kept["human_input_policy"] = {k: v for k, v in policy.items() if k not in OWNERS_PEOPLE}
    return kept


def _task_of(template: TaskTemplateCreate) -> TaskCreate:
    values = template.task.model_dump(mode="python", exclude_unset=True)
    values = {**_with_required_fields(values), "name": template.name}
    return validate_fields(TaskCreate, values, "The task of the template")


def _parameter_problems(template: TaskTemplateCreate) -> Iterator[FieldProblem]:
    """Yield a problem for each parameter that is declared twice or not used."""
    texts = [getattr(template.task, field) or "" for field in FILLED_FIELDS]
    used = {name for text in texts for name in templates.names(text)}
    seen: set[str] = set()
    for index, parameter in enumerate(template.parameters):
        loc = ("body", "parameters", index, "name")
        if parameter.name in seen:
            yield FieldProblem(loc, "Another parameter has this name; choose a different one.")
        elif parameter.name not in used:
            fields = ", ".join(FILLED_FIELDS)
            msg = f"The parameter is not used; add {{{{ {parameter.name} }}}} to one of {fields}."
            yield FieldProblem(loc, msg)
        seen.add(parameter.name)


def _sharing_problems(template: TaskTemplateCreate) -> Iterator[FieldProblem]:
    """Yield what a public template must not pass on to the tasks and lists of other users."""
    if not template.is_public:
        return
    for field in OWN_FIELDS:
        if getattr(template.task, field) != TaskBody.model_fields[field].default:
            yield FieldProblem(("body", "task", field), _NOT_PUBLIC)
    for field in OWNERS_PEOPLE:
        if field in template.task.human_input_policy.model_fields_set:
            yield FieldProblem(("body", "task", "human_input_policy", field), _NOT_PUBLIC)
    for found in task_rules.passed_on_problems(template.task):
        yield FieldProblem(("body", "task", *found.loc[1:]), found.msg, found.type)
    parts = template.model_dump(mode="json", include={"task", "parameters"}, exclude_unset=True)
    if len(json.dumps(parts, ensure_ascii=False)) > SHARED_CHARACTERS:
        msg = f"A public template can have at most {SHARED_CHARACTERS} characters; shorten it."
        yield FieldProblem(("body", "is_public"), msg, "too_long")


def _value_problems(
    parameters: Sequence[Parameter], values: Mapping[str, Any]
) -> Iterator[FieldProblem]:
    for parameter in parameters:
        if parameter.default is None and values.get(parameter.name) is None:
            loc = ("body", "parameters", parameter.name)
            yield FieldProblem(loc, parameter.description or "A value is required.", "missing")
    names = {parameter.name for parameter in parameters}
    for name in sorted(values.keys() - names):
        known = ", ".join(sorted(names)) or "none"
        msg = f"The template has no parameter of this name; its parameters are: {known}."
        yield FieldProblem(("body", "parameters", name), msg)


def _length_problems(task: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[FieldProblem]:
    for field in FILLED_FIELDS:
        if (
            templates.compute_rendered_length(task.get(field) or "", values)
            > templates.LONGEST_RENDERED
        ):
            msg = (
                f"With these values {field} has more than {templates.LONGEST_RENDERED} "
                "characters; use shorter ones."
            )
            yield FieldProblem(("body", "parameters"), msg, "too_long")


def _with_required_fields(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task with defaults for fields that a task requires and a template does not."""
    return {"allowed_tools": (), "sdk_options": {}, **task}
