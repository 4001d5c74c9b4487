"""Create a task from a template: parameters are replaced and fields overridden."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain import templates
from domain.errors import FieldProblem, InvalidInputError
from services.definitions.inputs import (
    Parameter,
    TaskBody,
    TaskCreate,
    TaskFromTemplate,
    TaskTemplateCreate,
)
from services.definitions.merging import validated
from services.definitions.task_rules import SHARED_CHARACTERS

FILLED = ("prompt_template", "system_prompt", "description")
"""Fields in which the placeholders of parameters are replaced."""


def filled(
    task: Mapping[str, Any], parameters: Sequence[Parameter], wanted: TaskFromTemplate
) -> TaskCreate:
    """The new task. A placeholder in a value becomes a variable of the task.

    Raises:
        InvalidInputError: a value is missing, a parameter is unknown, or the task is invalid.
    """
    if problems := list(_misfits(parameters, wanted.parameters)):
        raise InvalidInputError("The template parameters are invalid; see errors.", problems)
    given = {p.name: p.default for p in parameters} | wanted.parameters
    if problems := list(_floods(task, given)):
        raise InvalidInputError("The template parameters are invalid; see errors.", problems)
    texts = {
        field: templates.render(task[field], given).text
        for field in FILLED
        if task.get(field) is not None
    }
    overrides = wanted.overrides
    changed = {field: getattr(overrides, field) for field in overrides.model_fields_set}
    body = {**_complete(task), **texts, **changed, "name": wanted.name}
    return validated(TaskCreate, body, "The task made from this template")


def pattern(template: TaskTemplateCreate) -> TaskCreate:
    """The task of the template with its placeholders, for validation."""
    task = template.task.model_dump(mode="python", exclude_unset=True)
    return validated(TaskCreate, {**_complete(task), "name": template.name}, "The template's task")


def parameter_problems(template: TaskTemplateCreate) -> Iterator[FieldProblem]:
    """Problems of duplicate and unused parameters."""
    texts = [getattr(template.task, field) or "" for field in FILLED]
    used = {name for text in texts for name in templates.names(text)}
    seen: set[str] = set()
    for index, parameter in enumerate(template.parameters):
        loc = ("body", "parameters", index, "name")
        if parameter.name in seen:
            yield FieldProblem(loc, "Another parameter has this name; use a different one.")
        elif parameter.name not in used:
            where = ", ".join(FILLED)
            yield FieldProblem(loc, f"Write {{{{ {parameter.name} }}}} in one of {where}.")
        seen.add(parameter.name)


def sharing_problems(template: TaskTemplateCreate) -> Iterator[FieldProblem]:
    """Problems of a public template, which must not monitor other users' tasks or be too large."""
    if not template.is_public:
        return
    if template.task.notification_config is not None:
        hint = "A public template cannot contain recipients; remove this field."
        yield FieldProblem(("body", "task", "notification_config"), hint)
    parts = [stored(template.task), [p.model_dump(mode="json") for p in template.parameters]]
    if len(json.dumps(parts, ensure_ascii=False)) > SHARED_CHARACTERS:
        hint = f"A public template can have at most {SHARED_CHARACTERS} characters; shorten it."
        yield FieldProblem(("body", "is_public"), hint, "too_long")


def stored(task: TaskBody) -> dict[str, Any]:
    """The task of the template as JSON, as it was sent."""
    return task.model_dump(mode="json", exclude_unset=True)


def _misfits(parameters: Sequence[Parameter], given: Mapping[str, Any]) -> Iterator[FieldProblem]:
    names = {parameter.name for parameter in parameters}
    for parameter in parameters:
        if parameter.default is None and given.get(parameter.name) is None:
            loc = ("body", "parameters", parameter.name)
            yield FieldProblem(loc, parameter.description or "Give a value.", "missing")
    for name in sorted(given.keys() - names):
        hint = f"The parameters are: {', '.join(sorted(names)) or 'none'}."
        yield FieldProblem(("body", "parameters", name), f"This parameter does not exist. {hint}")


def _floods(task: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[FieldProblem]:
    for field in FILLED:
        if templates.rendered_length(task.get(field) or "", given) > templates.LONGEST_RENDERED:
            hint = f"With these values, {field} exceeds {templates.LONGEST_RENDERED} characters."
            yield FieldProblem(("body", "parameters"), hint, "too_long")


def _complete(task: Mapping[str, Any]) -> dict[str, Any]:
    """Add the required fields of a task that a template may omit."""
    return {"allowed_tools": (), "sdk_options": {}, **task}
