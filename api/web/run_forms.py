"""The form of a run: its variables and its budget."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from api.web.visits import Form
from definitions.tasks import TaskDefinition
from domain import templates
from domain.errors import FieldProblem, InvalidInputError
from domain.people.form_entries import read_control
from domain.people.nested_forms import Control, make_control

_INVALID = "This is not stored yet. Correct the fields below, then send it again."


def _read_number(form: Form, name: str) -> float | None:
    text = form.text(name).strip()
    try:
        return float(text) if text else None
    except ValueError as error:
        hint = "Enter a number, such as 0.50."
        raise InvalidInputError(_INVALID, [FieldProblem(("body", name), hint)]) from error


def make_variables_control(definition: TaskDefinition) -> Control | None:
    """The control for the variables of a run; None if the task has no variables.

    Without a schema, each placeholder of the prompt is a text.
    """
    defaults = definition.default_variables
    schema = definition.variables_schema
    if schema is None:
        names = templates.names(definition.prompt_template)
        schema = {
            "type": "object",
            "properties": {name: {"type": "string"} for name in names},
            "required": list(names),
        }
    shown = dict(schema.get("properties") or {})
    for name, value in defaults.items():
        if isinstance(shown.get(name), Mapping):
            shown[name] = {**shown[name], "default": value}
    if not shown and schema.get("type") == "object":
        return None
    required = [name for name in schema.get("required", ()) if name not in defaults]
    return make_control("variables", {**schema, "properties": shown, "required": required})


def read_run(form: Form, definition: TaskDefinition) -> dict[str, Any]:
    """The members of a run: its variables and its budget.

    Raises:
        InvalidInputError: an entry is not a value of its kind, such as a number.
    """
    members: dict[str, Any] = {"variables": {}, "strict_variables": True}
    control = make_variables_control(definition)
    if control is not None:
        reading = read_control(control, form.entries)
        if reading.problems:
            raise InvalidInputError(_INVALID, reading.problems)
        members["variables"] = {} if reading.is_empty else reading.value
    budget = _read_number(form, "max_budget_usd")
    return members if budget is None else {**members, "max_budget_usd": budget}


def budget_of(definition: TaskDefinition) -> Decimal | None:
    """The budget of a run, unless the form has another one."""
    return definition.sdk_options.max_budget_usd
