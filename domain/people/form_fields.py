"""Fields of flat forms, made from JSON Schemas.

Clients of the Model Context Protocol show text, numbers, yes or no, and choices, and refuse a form
with any other field: Claude Code then cancels the whole task (measured with 2.1.332, 2026-11-28).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from domain.text import harmless

FORMATS = frozenset({"email", "uri", "date", "date-time"})
"""The formats of text that clients accept; the server checks others."""

MOST_FIELDS = 30
"""Fields of a form: as many as were seen to work."""

_DEEPEST_REFERENCES = 8
"""References to definitions that refer to others (chosen: real schemas have one or two)."""

_COMBINES = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if"})
_BOUNDS: Mapping[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "boolean": (),
    "array": ("minItems", "maxItems"),
}
_DEFAULTS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FormField:
    """A field. `schema` is what the client gets; `choices` has the values by what it shows."""

    name: str
    schema: Schema
    is_required: bool = False
    is_nullable: bool = False
    choices: Mapping[str, Any] = field(default_factory=dict)

    def read(self, entered: Any) -> Any:
        """The value that a client's entry means. An unknown choice is returned unchanged."""
        if isinstance(entered, list):
            return [self.read(item) for item in entered]
        return self.choices.get(entered, entered) if isinstance(entered, str) else entered


def make_fields(schema: Schema) -> Sequence[FormField] | None:
    """The fields for an object of this schema; None if a flat form can't contain all of it."""
    properties = schema.get("properties")
    required = schema.get("required", [])
    if not isinstance(properties, Mapping) or not 0 < len(properties) <= MOST_FIELDS:
        return None
    if _COMBINES & schema.keys() or set(required) - properties.keys():
        return None
    fields = [
        make_field(name, given, is_required=name in required, root=schema)
        for name, given in properties.items()
    ]
    found = [made for made in fields if made is not None]
    return found if len(found) == len(fields) else None


def make_field(
    name: str, schema: Any, *, is_required: bool = True, root: Schema | None = None
) -> FormField | None:
    """The field for one value of this schema; None if no field can contain it, or it is secret.

    References are looked up in `root`.
    """
    resolved = resolve(schema, root or {})
    if resolved is None or harmless(name) != name:
        return None
    plain, is_nullable = split_null(resolved)
    if plain.get("writeOnly") is True or plain.get("format") == "password":
        return None
    made = _make_choice(plain, root or {}) or _make_plain(plain)
    if made is None:
        return None
    shown, choices = made
    texts = {key: harmless(plain[key]) for key in ("title", "description") if _is_text(plain, key)}
    is_asked = is_required and not is_nullable
    return FormField(name, {**shown, **texts}, is_asked, is_nullable, choices)


def choice_schema(choices: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """The schema of a choice from constants with titles."""
    if all(title is None for _, title in choices):
        return {"type": "string", "enum": [shown for shown, _ in choices]}
    titled = [{"const": shown, "title": harmless(title or shown)} for shown, title in choices]
    return {"type": "string", "oneOf": titled}


def make_choices(options: Sequence[tuple[Any, str | None]]) -> dict[str, tuple[Any, str | None]]:
    """Options, values with their titles, by what the client gets for them, which is text."""
    names = [format_entry(value) for value, _ in options]
    are_shown = len(set(names)) == len(names) and all(harmless(name) == name for name in names)
    if not are_shown:
        names = [str(number) for number in range(1, len(options) + 1)]
    return {
        name: (value, title or (None if name == value else format_entry(value)))
        for name, (value, title) in zip(names, options, strict=True)
    }


def format_entry(value: Any) -> str:
    """A value as a form contains it."""
    return value if isinstance(value, str) else json.dumps(value)


def resolve(schema: Any, root: Schema) -> Schema | None:
    """The schema behind references to definitions of the same schema."""
    for _ in range(_DEEPEST_REFERENCES):
        if not isinstance(schema, Mapping):
            return None
        reference = schema.get("$ref")
        if reference is None:
            return schema
        schema = {**_look_up(reference, root), **{k: v for k, v in schema.items() if k != "$ref"}}
    return None


def _look_up(reference: Any, root: Schema) -> Schema:
    """What `#/$defs/name` refers to; an empty schema, which no field can show, if nothing."""
    place: Any = root
    for step in str(reference).removeprefix("#/").split("/"):
        place = place.get(step) if isinstance(place, Mapping) else None
    return place if isinstance(place, Mapping) else {}


def split_null(schema: Schema) -> tuple[Schema, bool]:
    """The schema without null, and whether null is allowed."""
    kinds, options = schema.get("type"), schema.get("anyOf")
    if isinstance(kinds, list) and "null" in kinds:
        others = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": others[0] if len(others) == 1 else others}, True
    if isinstance(options, list) and {"type": "null"} in options:
        allowed = [option for option in options if option != {"type": "null"}]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        if len(allowed) == 1 and isinstance(allowed[0], Mapping):
            return {**allowed[0], **rest}, True
        return {**rest, "anyOf": allowed}, True
    return schema, False


Made = tuple[dict[str, Any], Mapping[str, Any]]


def _make_choice(schema: Schema, root: Schema) -> Made | None:
    """A choice of one value, or of several if the value is an array."""
    is_array = schema.get("type") == "array"
    listed = resolve(schema.get("items"), root) if is_array else schema
    options = None if listed is None else _options(listed)
    if not options:
        return None
    choices = make_choices(options)
    values = {shown: value for shown, (value, _) in choices.items()}
    shown = choice_schema([(name, title) for name, (_, title) in choices.items()])
    if is_array:
        items = {"anyOf": shown["oneOf"]} if "oneOf" in shown else shown
        return {"type": "array", "items": items, **_bounds(schema, "array")}, values
    default = next((n for n, value in values.items() if _is_default(schema, value)), None)
    return shown if default is None else {**shown, "default": default}, values


def _is_default(schema: Schema, value: Any) -> bool:
    return "default" in schema and json.dumps(schema["default"]) == json.dumps(value)


def _options(schema: Schema) -> list[tuple[Any, str | None]] | None:
    """The values from which the schema lets one choose, with titles; None if it is no choice."""
    if "const" in schema:
        options: list[tuple[Any, str | None]] = [(schema["const"], None)]
    elif isinstance(schema.get("enum"), list):
        names = schema.get("enumNames")
        values = schema["enum"]
        is_named = isinstance(names, list) and len(names) == len(values)
        titles = map(str, names) if is_named and names else [None] * len(values)
        options = list(zip(values, titles, strict=True))
    else:
        options = list(_constants(schema.get("oneOf") or schema.get("anyOf")))
    options = [option for option in options if option[0] is not None]
    return options if all(isinstance(value, (str, int, float)) for value, _ in options) else None


def _constants(options: Any) -> Iterator[tuple[Any, str | None]]:
    """The constants of `oneOf`; nothing unless all options are constants."""
    if isinstance(options, list) and all(isinstance(o, Mapping) and "const" in o for o in options):
        for option in options:
            yield option["const"], option["title"] if _is_text(option, "title") else None


def _make_plain(schema: Schema) -> Made | None:
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _DEFAULTS or _COMBINES & schema.keys():
        return None
    shown = {"type": kind, **_bounds(schema, kind)}
    if kind == "string" and schema.get("format") in FORMATS:
        shown["format"] = schema["format"]
    default = schema.get("default")
    is_bool = isinstance(default, bool)
    if isinstance(default, _DEFAULTS[kind]) and is_bool == (kind == "boolean"):
        shown["default"] = default
    return shown, {}


def _bounds(schema: Schema, kind: str) -> dict[str, Any]:
    return {key: schema[key] for key in _BOUNDS[kind] if _is_number(schema.get(key))}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(schema: Schema, key: str) -> bool:
    return isinstance(schema.get(key), str)
