"""Forms of what users define, made from the models of the API's request bodies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from api.web.visits import Form
from domain.errors import FieldProblem, InvalidInputError
from domain.nested_forms import Control, ControlKind, make_control, read_control
from reports.phrases import format_json

_INVALID = "This is not stored yet. Correct the fields below, then send it again."


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form. `is_fixed`: it can't be changed later."""

    name: str
    label: str
    hint: str = ""
    is_short: bool = False
    is_fixed: bool = False
    is_for_admins: bool = False


def make_controls(model: type[BaseModel], fields: Sequence[Field]) -> list[Control]:
    """The controls of the fields of a model, in this order."""
    schema = model.model_json_schema()
    definitions = {name: _with_labels(of) for name, of in schema.get("$defs", {}).items()}
    required = schema.get("required", ())
    return [
        _make_control(field, schema["properties"][field.name], definitions, required)
        for field in fields
    ]


def _make_control(
    field: Field, schema: Mapping[str, Any], definitions: Any, required: Sequence[str]
) -> Control:
    described = {**schema, "title": field.label, "$defs": definitions}
    if field.hint:
        described["description"] = field.hint
    is_required = field.name in required or schema.get("type") == "boolean"
    made = make_control(field.name, described, is_required=is_required)
    return _with_short_texts(made) if field.is_short or made.children else made


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
        name: {k: v for k, v in of.items() if k != "default"}
        | {"title": name.replace("_", " ").capitalize()}
        for name, of in members.items()
    }
    return {**schema, "description": "", "properties": labelled}


def fill(controls: Sequence[Control], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The entries of a form that shows these values."""
    return {
        name: entries
        for control in controls
        for name, entries in _fill_one(control, values.get(control.key))
    }


def _fill_one(control: Control, value: Any) -> Iterator[tuple[str, list[str]]]:
    if control.kind is ControlKind.GROUP:
        members = value if isinstance(value, Mapping) else {}
        yield from fill(control.children, members).items()
    elif control.kind is ControlKind.JSON:
        yield control.name, [format_json(value)] if value else []
    elif isinstance(value, (list, tuple)):
        yield control.name, [str(item) for item in value]
    elif isinstance(value, bool):
        yield control.name, ["true" if value else "false"]
    else:
        yield control.name, [] if value is None else [str(value)]


def read(controls: Sequence[Control], model: type[BaseModel], form: Form) -> dict[str, Any]:
    """The values in a form; a field that is left empty has its default.

    Raises:
        InvalidInputError: an entry can't be read.
    """
    values: dict[str, Any] = {}
    problems: list[FieldProblem] = []
    for control in controls:
        reading = read_control(control, form.entries)
        problems += reading.problems
        if not reading.is_empty:
            values[control.key] = reading.value
        elif not model.model_fields[control.key].is_required():
            values[control.key] = model.model_fields[control.key].get_default(
                call_default_factory=True
            )
    if problems:
        raise InvalidInputError(_INVALID, problems)
    return values
