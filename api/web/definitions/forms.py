"""Forms of what users define, made from the models of the API's request bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import BaseModel

from api.web.visits import Form
from domain.errors import FieldProblem, InvalidInputError
from domain.people.form_entries import fill_control, read_control
from domain.people.form_fields import resolve, split_null
from domain.people.nested_forms import Control, ControlKind, make_control

_LABELS: Mapping[str, str] = {"url": "URL", "secret_ref": "Secret"}
"""Labels that do not follow from the names."""

_INVALID = "This is not stored yet. Correct the fields below, then send it again."


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form. `name` is a path in the body: `sdk_options/model`.

    The label follows from the name, unless there is another one. `is_limit`: a list inside an
    object that a person has emptied is an empty list; one that was never filled in sets no limit.
    """

    name: str
    label: str = ""
    hint: str = ""
    is_short: bool = False
    is_for_admins: bool = False
    is_limit: bool = False

    @property
    def object_name(self) -> str:
        """The member of the body that contains it."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Section:
    """Fields under a legend. One that is folded opens if a field is filled in or has an error.

    `preview` is the address of a part of a page that shows what the fields mean.
    """

    legend: str
    fields: Sequence[Field]
    is_folded: bool = False
    preview: str = ""

    def nest(self, path: str) -> "Section":
        """The same fields of an object inside the body."""
        fields = [replace(field, name=f"{path}/{field.name}") for field in self.fields]
        return replace(self, fields=fields)


@cache
def make_controls(model: type[BaseModel], fields: tuple[Field, ...]) -> Sequence[Control]:
    """The controls of the fields of a model, in this order.

    Made once: the schema of a large model takes 50 ms (measured for tasks).
    """
    schema = model.model_json_schema()
    definitions = {name: _with_labels(of) for name, of in schema.get("$defs", {}).items()}
    return [_make_control(field, schema, definitions) for field in fields]


def _make_control(field: Field, body: Mapping[str, Any], labelled: Any) -> Control:
    schema, is_required = body, True
    for step in field.name.split("/"):
        parent, _ = split_null(schema)
        parent = resolve(parent, body) or {}
        is_required = is_required and step in parent.get("required", ())
        schema = parent["properties"][step]
    label = field.label or _make_label(field.name.rpartition("/")[2])
    described = {**schema, "title": label, "$defs": labelled}
    if field.hint:
        described["description"] = field.hint
    made = make_control(field.name, described, is_required=is_required)
    return _with_short_texts(made) if field.is_short or made.children else made


def _make_label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _with_short_texts(control: Control) -> Control:
    """The control with lines instead of blocks of text; the members of objects are short."""
    kind = ControlKind.TEXT if control.kind is ControlKind.LONG_TEXT else control.kind
    children = [_with_short_texts(child) for child in control.children]
    return replace(control, kind=kind, children=children)


def _with_labels(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of an object whose members have labels such as `Time zone`.

    They show no defaults: an object that may be left out is empty until a person fills it in.
    """
    members = schema.get("properties", {})
    labelled = {
        name: {k: v for k, v in of.items() if k != "default"} | {"title": _make_label(name)}
        for name, of in members.items()
    }
    return {**schema, "description": "", "properties": labelled}


def fill(controls: Sequence[Control], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The entries of a form that shows these values, and defaults in place of others."""
    entries: dict[str, list[str]] = {}
    for control in controls:
        value: Any = values
        for step in control.name.split("/"):
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is None and "default" in control.schema:
            value = control.schema["default"]
        entries |= fill_control(control, value)
    return entries


def read(controls: Sequence[Control], model: type[BaseModel], form: Form) -> dict[str, Any]:
    """The body in a form; a field that is left empty has its default.

    Objects inside the body contain only what differs from a default: some of these apply only
    where nothing was given.

    Raises:
        InvalidInputError: an entry can't be read.
    """
    values: dict[str, Any] = {}
    problems: list[FieldProblem] = []
    for control in controls:
        reading = read_control(control, form.entries)
        problems += reading.problems
        value = _strip(control, reading.value)
        *parents, key = control.name.split("/")
        inside = values
        for parent in parents:
            inside = inside.setdefault(parent, {})
        if not parents and reading.is_empty and not model.model_fields[key].is_required():
            inside[key] = model.model_fields[key].get_default(call_default_factory=True)
        elif not reading.is_empty and (not parents or not _is_default(control, value)):
            inside[key] = value
    if problems:
        raise InvalidInputError(_INVALID, problems)
    return {name: _prune(model, name, value) for name, value in values.items()}


def _strip(control: Control, value: Any) -> Any:
    """The value without spaces around short texts and lines."""
    if control.kind is ControlKind.TEXT and isinstance(value, str):
        return value.strip()
    if control.kind is ControlKind.LINES and isinstance(value, list):
        lines = (line.strip() if isinstance(line, str) else line for line in value)
        return [line for line in lines if line != ""]
    return value


def _is_default(control: Control, value: Any) -> bool:
    return value is None or value == control.schema.get("default") or value == []


def _prune(model: type[BaseModel], name: str, value: Any) -> Any:
    """The value without empty objects inside; null for an empty object that may be null."""
    if value == {} and model.model_fields[name].default is None:
        return None
    if not isinstance(value, dict):
        return value
    return {key: of for key, of in value.items() if of != {}}


def place_errors(
    errors: Mapping[str, str], controls: Sequence[Control], base: str = ""
) -> dict[str, str]:
    """The errors by the names of the controls that show them.

    `base` is the object inside the body whose errors may be named without it.
    """
    placed: dict[str, str] = {}
    for name, msg in errors.items():
        found = _find_control(name, controls) or _find_control(f"{base}/{name}", controls)
        if found is None:
            placed.setdefault(name, msg)
            continue
        where = name.removeprefix(f"{base}/").removeprefix(found.name.removeprefix(f"{base}/"))
        placed.setdefault(found.name, f"{_describe_place(where)}{msg}")
    return placed


def _find_control(name: str, controls: Sequence[Control]) -> Control | None:
    """The innermost control of a field or of the value that contains it."""
    for control in controls:
        if control.kind is ControlKind.GROUP and (found := _find_control(name, control.children)):
            return found
        if name == control.name or name.startswith(f"{control.name}/"):
            return control
    return None


def _describe_place(where: str) -> str:
    """`/1/url` as `Row 2, url: `."""
    steps = [step.replace("_", " ") for step in where.split("/") if step]
    if steps and steps[0].isdecimal():
        steps[0] = f"Row {int(steps[0]) + 1}"
    return f"{', '.join(steps)}: " if steps else ""
