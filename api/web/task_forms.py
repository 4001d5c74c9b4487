"""Forms of tasks: their fields as a person edits them, and the variables of a run."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from api.web.page_forms import split_lines
from api.web.visits import Form
from definitions.tasks import TaskDefinition
from domain import templates
from domain.errors import FieldProblem, InvalidInputError
from domain.nested_forms import Control, describe_json_error, make_control, read_control
from persistence.definitions.tasks import StoredTask
from persistence.tables.definitions import TaskTemplateRow

_TEXTS = ("description", "system_prompt", "agent_id", "schedule_cron")
_TOOLS = ("allowed_tools", "ask_tools", "disallowed_tools")
_JSON = ("variables_schema", "default_variables")
_COLUMNS = ("name", "description", "is_public", "tags")
"""Stored beside the definition of a task; the first three beside that of a template."""
_PARTS = ("name", "default", "description")
"""The fields of a parameter of a template."""
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
    row, definition = stored.row, TaskDefinition.model_validate(stored.definition)
    columns = (*_COLUMNS, "schedule_cron", "schedule_timezone")
    entered = {name: getattr(row, name) for name in columns} | (row.entered_tools or {})
    return _fill({**definition.model_dump(mode="json"), **entered})


def fill_template(row: TaskTemplateRow) -> Mapping[str, str]:
    """What the form of a stored template contains."""
    return _fill({**row.task, **{name: getattr(row, name) for name in _COLUMNS[:3]}})


def _fill(members: Mapping[str, Any]) -> Mapping[str, str]:
    options = members.get("sdk_options") or {}
    names = ("name", "prompt_template", "schedule_timezone", *_TEXTS)
    shown: dict[str, Any] = {name: members.get(name) for name in names}
    shown |= {name: options.get(name) for name in ("model", "max_budget_usd")}
    shown |= {name: _write_json(members.get(name)) for name in _JSON}
    shown |= {name: "\n".join(members.get(name) or ()) for name in _TOOLS}
    shown["schedule_timezone"] = shown["schedule_timezone"] or "UTC"
    shown["tags"] = ", ".join(members.get("tags") or ())
    shown["is_public"] = "1" if members.get("is_public") else ""
    shown["report_format"] = members.get("report_format") if members.get("generate_report") else ""
    return {name: "" if value is None else str(value) for name, value in shown.items()}


def read_template(form: Form, stored: Mapping[str, Any], parameters: Any) -> dict[str, Any]:
    """The members of a template in a form; `stored` is its task, which may have other fields.

    Raises:
        InvalidInputError: JSON or a number can't be read.
    """
    members = read_task(form, stored.get("sdk_options") or {})
    own = {name: members.pop(name) for name in _COLUMNS[:3]}
    task = {name: value for name, value in {**stored, **members}.items() if value is not None}
    return {**own, "task": task, "parameters": _read_parameters(form, parameters)}


def fill_parameters(form: Form, stored: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of parameters in the form of a template, and two empty ones."""
    rows: list[Mapping[str, Any]] = []
    if form.entries:
        rows = _typed_parameters(form)
    else:
        rows = [{**row, "default": _write_default(row.get("default"))} for row in stored]
    rows += [{}, {}]
    return [
        {"at": at, **{part: row.get(part) or "" for part in _PARTS}} for at, row in enumerate(rows)
    ]


def _typed_parameters(form: Form) -> list[Mapping[str, Any]]:
    columns = [form.entries.get(f"parameter_{part}", ()) for part in _PARTS]
    typed = [dict(zip(_PARTS, row, strict=True)) for row in zip(*columns, strict=False)]
    return [row for row in typed if any(row.values())]


def _read_parameters(form: Form, stored: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The parameters in a form; a default that was not changed stays the value that it was."""
    known = {row["name"]: row.get("default") for row in stored}
    found: list[Mapping[str, Any]] = []
    for row in _typed_parameters(form):
        before = known.get(row["name"])
        is_same = before is not None and _write_default(before) == row["default"]
        default = before if is_same else row["default"] or None
        named = {"name": row["name"].strip(), "description": row["description"].strip() or None}
        found.append({**named, "default": default})
    return found


def _write_default(value: Any) -> str:
    return value if isinstance(value, str) else _write_json(value)


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
