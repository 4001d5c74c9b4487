"""Forms for any value that a JSON Schema describes, with groups for nested objects.

Each value has a control; a value that no other control can hold is entered as JSON. Names of
controls are paths, such as `values/address/city`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from domain.people.form_fields import (
    FORMATS,
    FormField,
    Schema,
    format_entry,
    make_field,
    resolve,
    split_null,
)

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
    ROWS = "rows"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control. `schema` has its format and bounds.

    `children` are the members of a group, or the columns of rows.
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
    def holds_names(self) -> bool:
        """Whether rows are the names and values of one object, instead of objects of a list."""
        return self.kind is ControlKind.ROWS and "items" not in self.schema

    def is_filled(self, entries: "Entries") -> bool:
        """Whether a form contains something else than the default."""
        if self.children:
            return any(child.is_filled(entries) for child in self.children)
        entered = [entry for entry in entries.get(self.name, ()) if entry.strip()][-1:]
        return bool(entered) and entered != list(self.default_entries)[-1:]

    def count_rows(self, entries: "Entries") -> int:
        """How many rows of a form are filled in, with the empty ones between them."""
        columns = [entries.get(child.name, ()) for child in self.children]
        filled = [at for column in columns for at, cell in enumerate(column) if cell.strip()]
        return max(filled, default=-1) + 1

    @property
    def default_entries(self) -> Sequence[str]:
        """What the control contains before a person changes it."""
        if "default" not in self.schema or self.kind is ControlKind.SECRET:
            return ()
        default = self.schema["default"]
        if self.kind in (ControlKind.CHOICES, ControlKind.LINES) and isinstance(default, list):
            return [format_entry(item) for item in default]
        return [json.dumps(default) if self.kind is ControlKind.JSON else format_entry(default)]


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
        if rows := self._make_rows(name, plain, common, depth):
            return rows
        items = plain.get("items") if plain.get("type") == "array" else None
        is_lines = _is_plain_text(items) or is_number(items)
        kind = ControlKind.LINES if is_lines else ControlKind.JSON
        return Control(name=name, kind=kind, schema=plain, **common)

    def _make_rows(
        self, name: str, schema: Schema, common: Mapping[str, Any], depth: int
    ) -> Control | None:
        """Rows for a list of flat objects, or for an object whose members have any name."""
        if depth >= DEEPEST:
            return None
        row = _names_and_values(schema) or resolve(schema.get("items"), self.root) or {}
        is_whole = row.get("additionalProperties") is False and not schema.get("default")
        if not is_whole or not _is_group(row) or not self._count(len(row["properties"])):
            return None
        made = self._make_group(name, row, common, max(depth, DEEPEST - 1))
        if any(child.kind not in _CELLS for child in made.children):
            return None
        return replace(made, kind=ControlKind.ROWS, schema=schema)

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


_CELLS = frozenset(
    {
        ControlKind.TEXT,
        ControlKind.LONG_TEXT,
        ControlKind.NUMBER,
        ControlKind.CHOICE,
        ControlKind.LINES,
    }
)
"""What a column can contain."""


def _is_group(schema: Schema) -> bool:
    properties = schema.get("properties")
    is_object = schema.get("type", "object") == "object"
    has_properties = isinstance(properties, Mapping) and len(properties) > 0
    return is_object and has_properties and not _COMBINES & schema.keys()


def _names_and_values(schema: Schema) -> Schema | None:
    """The schema of a row for an object with any members, all of which are texts."""
    patterns = schema.get("patternProperties")
    values = list(patterns.values()) if isinstance(patterns, Mapping) else []
    values = values or [schema.get("additionalProperties")]
    is_open = schema.get("type") == "object" and not schema.get("properties")
    if not is_open or len(values) > 1 or not _is_plain_text(values[0]):
        return None
    name = {"type": "string", "title": "Name", "maxLength": 100}
    members = {"name": name, "value": {"title": "Value", **values[0]}}
    return {"properties": members, "required": ["name"], "additionalProperties": False}


def _is_plain_text(items: Any) -> bool:
    return isinstance(items, Mapping) and items.keys() <= {
        "type", "minLength", "maxLength", "pattern", "description", "title"
    } and items.get("type") == "string"  # fmt: skip


def is_number(items: Any) -> bool:
    """Whether the items of a list are numbers."""
    return isinstance(items, Mapping) and items.get("type") in ("integer", "number")


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
