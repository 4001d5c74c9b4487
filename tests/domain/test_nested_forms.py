"""Forms for values of JSON Schemas: their controls, and what is read from them."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.people.form_entries import read_control
from domain.people.nested_forms import (
    MOST_CONTROLS,
    Control,
    ControlKind,
    control_name,
    make_control,
)

DEFINED = {
    "type": "object",
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}}},
    "properties": {
        "from": {"$ref": "#/$defs/place", "title": "From"},
        "size": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "In metres."},
        "a/b~c": {"type": "array", "items": {"enum": ["x", "y"]}},
        "free": {},
        "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["from", "size", "a/b~c"],
}


def kinds(control: Control) -> dict[str, str]:
    """The kinds of all controls by their names."""
    found = {control.name: str(control.kind)}
    for child in control.children:
        found |= kinds(child)
    return found


def test_every_value_has_a_control() -> None:
    control = make_control("values", DEFINED)
    assert kinds(control) == {
        "values": "group",
        "values/from": "group",
        "values/from/city": "long_text",
        "values/size": "number",
        "values/a~1b~0c": "choices",
        "values/free": "json",
        "values/either": "json",
    }
    origin, size, *_ = control.children
    assert (origin.label, size.label, size.hint) == ("From", "size", "In metres.")
    assert size.is_nullable


@pytest.mark.parametrize(
    ("entries", "value"),
    [
        ({}, {"from": {}, "size": None, "a/b~c": []}),
        (
            {"values/from/city": [" Zug "], "values/size": ["-7"], "values/a~1b~0c": ["x", "y"]},
            {"from": {"city": " Zug "}, "size": -7, "a/b~c": ["x", "y"]},
        ),
        (
            {"values/size": ["2.50"], "values/free": ["[1]"], "values/either": ['"text"']},
            {"from": {}, "size": 2.5, "a/b~c": [], "free": [1], "either": "text"},
        ),
    ],
)
def test_values_are_read_by_their_type(entries: dict[str, list[str]], value: Any) -> None:
    reading = read_control(make_control("values", DEFINED), entries)
    assert not reading.problems
    assert json.dumps(reading.value) == json.dumps(value)


@pytest.mark.parametrize("entry", ["", "many", "1,5", "0x10", "1_000", "inf", "nan", ".", "1e5"])
def test_what_is_no_number_is_explained_at_its_control(entry: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
    reading = read_control(make_control("values", schema), {"values/n": [entry]})
    [problem] = reading.problems
    assert control_name(problem.loc) == "values/n"


def test_an_optional_object_is_left_out_or_complete() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    inner["properties"]["b"] = {"type": "boolean"}  # type: ignore[index]
    control = make_control("values", {"type": "object", "properties": {"inner": inner}})
    assert read_control(control, {}).is_empty is False
    assert read_control(control, {}).value == {}
    reading = read_control(control, {"values/inner/b": ["false"]})
    assert [control_name(problem.loc) for problem in reading.problems] == ["values/inner/a"]


def test_secrets_and_defaults() -> None:
    schema = {
        "type": "object",
        "properties": {
            "key": {"type": "string", "writeOnly": True, "default": "hunter2"},
            "on": {"type": "boolean", "default": False},
            "tags": {"type": "array", "items": {"type": "string"}, "default": ["a", "b"]},
            "colour": {"enum": ["red", 7], "default": 7},
        },
    }
    key, on, tags, colour = make_control("values", schema).children
    assert (key.kind, key.default_entries) == (ControlKind.SECRET, ())
    assert list(on.default_entries) == ["false"]
    assert list(tags.default_entries) == ["a", "b"]
    assert list(colour.default_entries) == ["7"]
    assert read_control(colour, {colour.name: ["7"]}).value == 7


@pytest.mark.parametrize("width", [1, 7, 1000])
def test_a_schema_that_contains_itself_ends_in_json(width: int) -> None:
    node = {"type": "object", "properties": {str(n): {"$ref": "#/$defs/n"} for n in range(width)}}
    control = make_control("values", {"$ref": "#/$defs/n", "$defs": {"n": node}})
    found = kinds(control)
    assert len(found) <= MOST_CONTROLS + 1
    assert "json" in found.values()
    assert max(name.count("/") for name in found) <= 5


LEAVES = st.sampled_from(
    [
        ({"type": "string", "minLength": 1}, "text"),
        ({"type": "integer"}, 3),
        ({"type": "boolean"}, False),
        ({"enum": ["a", "b"]}, "b"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, ["one", "two"]),
        ({"type": ["number", "null"]}, None),
        ({"oneOf": [{"type": "object"}, {"type": "string"}]}, {"x": [1]}),
    ]
)


def make_object(members: dict[str, tuple[dict[str, Any], Any]]) -> tuple[dict[str, Any], Any]:
    schema = {
        "type": "object",
        "properties": {name: member[0] for name, member in members.items()},
        "required": list(members),
    }
    return schema, {name: member[1] for name, member in members.items()}


NAMES = st.text(alphabet="abé/~. \u05d0", min_size=1, max_size=4)
OBJECTS = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(make_object),
    max_leaves=6,
)


def enter(control: Control, value: Any) -> dict[str, list[str]]:
    """The entries of a person who wants this value."""
    if control.kind is ControlKind.GROUP:
        entries: dict[str, list[str]] = {}
        for child in control.children:
            entries |= enter(child, value[child.key])
        return entries
    if value is None:
        return {}
    if control.kind is ControlKind.LINES:
        return {control.name: ["\n".join(value)]}
    is_text = isinstance(value, str) and control.kind is not ControlKind.JSON
    return {control.name: [value if is_text else json.dumps(value)]}


@given(OBJECTS)
def test_a_person_can_enter_any_value(example: tuple[dict[str, Any], Any]) -> None:
    schema, value = example
    control = make_control("values", schema)
    reading = read_control(control, enter(control, value))
    assert not reading.problems
    assert json.dumps(reading.value) == json.dumps(value)
    jsonschema.validate(reading.value, schema)
