"""Forms for any value that a JSON Schema describes, with groups for nested objects.

Each value has a control; a value that no other control can hold is entered as JSON. Names of
controls are paths, such as `values/address/city`. What is read from a form is not validated.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.errors import FieldProblem
from domain.form_fields import FORMATS, FormField, Schema, make_field, resolve, split_null

DEEPEST = 5
"""Levels of groups; deeper values are entered as JSON (chosen: more cannot be read on a page)."""

MOST_CONTROLS = 300
"""Of a form; the groups that remain are entered as JSON. A schema that refers to itself can
describe millions of values (chosen)."""

SHORT_TEXT = 200
"""A text of at most this length has one line (chosen)."""

HIDDEN = "(hidden)"
"""In place of a secret that a person entered."""

_COMBINES = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties"})
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,300}(?P<fraction>\.[0-9]{0,300})?", re.ASCII)
_FILL_IN = "Fill in this field."
_TRUE_OR_FALSE = {"true": True, "false": False}

Entries = Mapping[str, Sequence[str]]
"""The values of a form by the names of their fields."""


class ControlKind(StrEnum):
    """How a value is entered."""

    GROUP = "group"
    TEXT = "text"
    LONG_TEXT = "long_text"
    NUMBER = "number"
    CHOICE = "choice"
    CHOICES = "choices"
    LINES = "lines"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control. `schema` has its format and bounds; `children` are those of a group.

    `choices` are pairs of what the form sends and what it shows.
    """

    name: str
    kind: ControlKind
    label: str
    hint: str = ""
    schema: Schema = field(default_factory=dict)
    is_required: bool = False
    is_nullable: bool = False
    choices: Sequence[tuple[str, str]] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """The values of the choices by what the form sends."""
    children: Sequence["Control"] = ()

    @property
    def key(self) -> str:
        """The name of the value in the object that contains it."""
        return self.name.rpartition("/")[2].replace("~1", "/").replace("~0", "~")

    @property
    def default_entries(self) -> Sequence[str]:
        """What the control contains before a person changes it."""
        if "default" not in self.schema or self.kind is ControlKind.SECRET:
            return ()
        default = self.schema["default"]
        if self.kind in (ControlKind.CHOICES, ControlKind.LINES) and isinstance(default, list):
            return [_as_entry(item) for item in default]
        return [json.dumps(default) if self.kind is ControlKind.JSON else _as_entry(default)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: a value, unless `is_empty`, and why entries can't be read."""

    value: Any = None
    is_empty: bool = False
    problems: Sequence[FieldProblem] = ()


EMPTY = Reading(is_empty=True)


def make_control(
    name: str, schema: Schema, *, label: str = "", is_required: bool = True
) -> Control:
    """The control for a value of this schema."""
    return _Maker(schema).make(name, label, schema, is_required=is_required)


def hide_secrets(schema: Schema | None, values: Any) -> Any:
    """The values of an answer without the secrets among them; None is no schema."""
    return values if schema is None else _hide(make_control("values", schema), values)


def _hide(control: Control, values: Any) -> Any:
    if control.kind is ControlKind.SECRET and values is not None:
        return HIDDEN
    if control.kind is not ControlKind.GROUP or not isinstance(values, Mapping):
        return values
    children = {child.key: child for child in control.children}
    return {
        name: _hide(children[name], value) if name in children else value
        for name, value in values.items()
    }


def control_name(loc: Sequence[str | int]) -> str:
    """The name of the control for the location of a problem: `("body", "values", "city")`."""
    return "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in loc[1:])


@dataclass(slots=True)
class _Maker:
    root: Schema
    count: int = 0

    def make(
        self, name: str, label: str, schema: Any, *, is_required: bool, depth: int = 0
    ) -> Control:
        resolved = resolve(schema, self.root) or {}
        plain, is_nullable = split_null(resolved)
        plain = resolve(plain, self.root) or plain
        texts = {"label": _text(plain, "title") or label, "hint": _text(plain, "description")}
        common: dict[str, Any] = {**texts, "is_required": is_required, "is_nullable": is_nullable}
        if _is_group(plain) and depth < DEEPEST and self._count(len(plain["properties"])):
            return self._make_group(name, plain, common, depth)
        if plain.get("writeOnly") is True or plain.get("format") == "password":
            kind = ControlKind.SECRET if plain.get("type") == "string" else ControlKind.JSON
            return Control(name=name, kind=kind, schema=plain, **common)
        made = make_field("value", schema, is_required=is_required, root=self.root)
        if made is not None:
            return _from_field(name, made, common)
        is_lines = plain.get("type") == "array" and _is_plain_text(plain.get("items"))
        kind = ControlKind.LINES if is_lines else ControlKind.JSON
        return Control(name=name, kind=kind, schema=plain, **common)

    def _count(self, more: int) -> bool:
        """Count controls; returns whether the form may have them."""
        fits = self.count + more <= MOST_CONTROLS
        self.count += more if fits else 0
        return fits

    def _make_group(
        self, name: str, schema: Schema, common: Mapping[str, Any], depth: int
    ) -> Control:
        required = schema.get("required", ())
        children = [
            self.make(
                f"{name}/{control_name(('', key))}",
                key,
                of,
                is_required=key in required,
                depth=depth + 1,
            )
            for key, of in schema["properties"].items()
        ]
        return Control(
            name=name, kind=ControlKind.GROUP, schema=schema, children=children, **common
        )


def _is_group(schema: Schema) -> bool:
    properties = schema.get("properties")
    is_object = schema.get("type", "object") == "object"
    has_properties = isinstance(properties, Mapping) and len(properties) > 0
    return is_object and has_properties and not _COMBINES & schema.keys()


def _is_plain_text(items: Any) -> bool:
    return isinstance(items, Mapping) and items.keys() <= {
        "type", "minLength", "maxLength", "pattern", "description", "title"
    } and items.get("type") == "string"  # fmt: skip


def _from_field(name: str, made: FormField, common: Mapping[str, Any]) -> Control:
    schema = made.schema
    if made.choices:
        is_array = schema["type"] == "array"
        kind = ControlKind.CHOICES if is_array else ControlKind.CHOICE
        titles = _titles(schema["items"] if is_array else schema)
        choices = [(sent, titles.get(sent, sent)) for sent in made.choices]
        return Control(
            name=name, kind=kind, schema=schema, choices=choices, values=made.choices, **common
        )
    if schema["type"] == "boolean":
        yes_no = (("true", "Yes"), ("false", "No"))
        return Control(
            name=name,
            kind=ControlKind.CHOICE,
            schema=schema,
            choices=yes_no,
            values=_TRUE_OR_FALSE,
            **common,
        )
    if schema["type"] in ("integer", "number"):
        return Control(name=name, kind=ControlKind.NUMBER, schema=schema, **common)
    is_short = schema.get("format") in FORMATS or schema.get("maxLength", math.inf) <= SHORT_TEXT
    kind = ControlKind.TEXT if is_short else ControlKind.LONG_TEXT
    return Control(name=name, kind=kind, schema=schema, **common)


def _titles(schema: Schema) -> Mapping[str, str]:
    options = schema.get("oneOf") or schema.get("anyOf") or ()
    return {option["const"]: option["title"] for option in options}


def _text(schema: Schema, key: str) -> str:
    value = schema.get(key)
    return value if isinstance(value, str) else ""


def _as_entry(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_control(control: Control, entries: Entries) -> Reading:
    """Read a value from a form."""
    if control.kind is ControlKind.GROUP:
        return _read_group(control, entries)
    entered = [entry for entry in entries.get(control.name, ()) if entry.strip()]
    if entered:
        return _read_entered(control, entered)
    if control.is_nullable:
        return Reading(None)
    if control.kind in (ControlKind.CHOICES, ControlKind.LINES) and control.is_required:
        return Reading([])  # the schema decides whether it may be empty
    return _refuse(control, _FILL_IN) if control.is_required else EMPTY


def _read_group(control: Control, entries: Entries) -> Reading:
    """Read an object; one that may be left out is empty if all its members are."""
    is_entered = any(_has_entries(child, entries) for child in control.children)
    if not is_entered and not control.is_required:
        return Reading(None) if control.is_nullable else EMPTY
    readings = [(child, read_control(child, entries)) for child in control.children]
    value = {child.key: made.value for child, made in readings if not made.is_empty}
    problems = [problem for _, reading in readings for problem in reading.problems]
    return Reading(value, problems=problems)


def _has_entries(control: Control, entries: Entries) -> bool:
    if control.kind is ControlKind.GROUP:
        return any(_has_entries(child, entries) for child in control.children)
    return any(entry.strip() for entry in entries.get(control.name, ()))


def _read_entered(control: Control, entered: Sequence[str]) -> Reading:
    match control.kind:
        case ControlKind.CHOICES:
            return Reading([control.values.get(entry, entry) for entry in entered])
        case ControlKind.CHOICE:
            return Reading(control.values.get(entered[0], entered[0]))
        case ControlKind.LINES:
            return Reading([line for entry in entered for line in entry.split("\n") if line])
        case ControlKind.NUMBER:
            return _read_number(control, entered[0])
        case ControlKind.JSON:
            return _read_json(control, entered[0])
        case _:
            return Reading(entered[0])


def _read_number(control: Control, entry: str) -> Reading:
    found = _NUMBER.fullmatch(entry.strip())
    if found is None:
        return _refuse(control, "Write a number, for example 2.5.")
    return Reading(float(entry) if found["fraction"] else int(entry))


def _read_json(control: Control, entry: str) -> Reading:
    try:
        return Reading(json.loads(entry))
    except (ValueError, RecursionError) as error:
        return _refuse(control, f"Write valid JSON. {describe_json_error(error)}")


def describe_json_error(error: Exception) -> str:
    """Where and why JSON can't be parsed."""
    if isinstance(error, json.JSONDecodeError):
        return f"Line {error.lineno}, column {error.colno}: {error.msg}."
    return "It is nested too deeply, or contains a value that is not supported."


def _refuse(control: Control, msg: str) -> Reading:
    loc = ("body", *_steps(control.name))
    return Reading(is_empty=True, problems=[FieldProblem(loc, msg)])


def _steps(name: str) -> Iterator[str]:
    for step in name.split("/"):
        yield step.replace("~1", "/").replace("~0", "~")
