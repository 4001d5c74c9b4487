"""Forms of tasks: their fields as a person edits them, and the variables of a run."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from api.web.page_forms import split_lines
from api.web.visits import Form
from definitions.tasks import TaskDefinition
from domain import templates
from domain.errors import FieldProblem, InvalidInputError
from domain.nested_forms import Control, describe_json_error, make_control, read_control
from persistence.definitions.tasks import StoredTask

_TEXTS = ("description", "system_prompt", "agent_id", "schedule_cron")
_TOOLS = ("allowed_tools", "ask_tools", "disallowed_tools")
_JSON = ("variables_schema", "default_variables")
_INVALID = "This is not stored yet. Correct the fields below, then send it again."

NEW: Mapping[str, str] = {
    "allowed_tools": "read_file\nlist_files\nsearch_files",
    "schedule_timezone": "UTC",
    "max_budget_usd": "1",
}
"""What the form of a new task contains."""


def read_task(form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a task in a form; `options` are the model options that it does not show.

    Raises:
        InvalidInputError: JSON or a number can't be read.
    """
    members: dict[str, Any] = {
        "name": form.text("name").strip(),
        "prompt_template": form.text("prompt_template"),
        "tags": split_lines(form.text("tags")),
        "is_public": bool(form.text("is_public")),
        "schedule_timezone": form.text("schedule_timezone").strip() or "UTC",
    }
    members |= {name: form.text(name).strip() or None for name in _TEXTS}
    members |= {name: split_lines(form.text(name)) for name in _TOOLS}
    members |= {name: _read_json(form, name) for name in _JSON}
    members["default_variables"] = members["default_variables"] or {}
    members["generate_report"] = bool(form.text("report_format"))
    members["report_format"] = form.text("report_format") or None
    if members["schedule_cron"] is None:
        members |= {"is_scheduled": False, "schedule_enabled": False}
    kept = {k: v for k, v in options.items() if k not in {"model", "max_budget_usd"}}
    model = form.text("model").strip()
    budget = _read_number(form, "max_budget_usd")
    members["sdk_options"] = {
        **kept,
        **({"model": model} if model else {}),
        **({} if budget is None else {"max_budget_usd": budget}),
    }
    return members


def fill_task(stored: StoredTask) -> Mapping[str, str]:
    """What the form of a stored task contains."""
    definition = TaskDefinition.model_validate(stored.definition)
    row, options = stored.row, definition.sdk_options
    shown: dict[str, Any] = {
        "name": row.name,
        "description": row.description,
        "prompt_template": definition.prompt_template,
        "system_prompt": definition.system_prompt,
        "agent_id": definition.agent_id,
        "model": options.model,
        "max_budget_usd": options.max_budget_usd,
        "tags": ", ".join(row.tags),
        "is_public": "1" if row.is_public else "",
        "schedule_cron": row.schedule_cron,
        "schedule_timezone": row.schedule_timezone,
        "report_format": definition.report_format if definition.generate_report else "",
        "variables_schema": _write_json(definition.variables_schema),
        "default_variables": _write_json(definition.default_variables),
    }
    entered = row.entered_tools or {}
    for name in _TOOLS:
        shown[name] = "\n".join(entered.get(name, getattr(definition, name)))
    return {name: "" if value is None else str(value) for name, value in shown.items()}


def _write_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) if value else ""


def _read_json(form: Form, name: str) -> Any:
    text = form.text(name).strip()
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        hint = f"This is not valid JSON. {describe_json_error(error)}"
        raise InvalidInputError(_INVALID, [FieldProblem(("body", name), hint)]) from error


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
