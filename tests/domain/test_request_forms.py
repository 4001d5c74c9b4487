"""Forms hold only fields that clients take, and what they bring back fits the request."""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.people.answers import Asked, check_answer
from domain.people.form_fields import FORMATS, make_fields
from domain.people.request_forms import (
    RequestForm,
    ShownRequest,
    make_form,
    page_message,
    read_decline,
)
from domain.people.requests import RequestKind

URL = "https://perdure.example/inbox/1"
RAISE = {
    "type": "object",
    "properties": {"max_budget_usd": {"type": "number", "minimum": 2.5}},
    "required": ["max_budget_usd"],
    "additionalProperties": False,
}


def make_request(kind: str, **changed: Any) -> ShownRequest:
    asked = Asked(RequestKind(kind), **{k: changed.pop(k) for k in ASKED if k in changed})
    fields = {"title": "Which colour?", "execution_title": "Paint", "page_url": URL, **changed}
    return ShownRequest(asked=asked, **fields)


ASKED = ("options", "schema", "tool_name")


def form_of(kind: str, **changed: Any) -> RequestForm:
    form = make_form(make_request(kind, **changed))
    assert form is not None
    return form


def form_for(schema: Mapping[str, Any]) -> RequestForm | None:
    return make_form(make_request("form", schema=schema))


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("kind", "fields", "content", "answer"),
    [
        ("question", {}, {"answer": "Blue"}, {"values": {"answer": "Blue"}}),
        ("question", {}, {"answer": ""}, {"values": {"answer": ""}}),
        (
            "question",
            {"options": ["red", "blue"]},
            {"answer": "blue"},
            {"values": {"answer": "blue"}},
        ),
        ("question", {"options": ["red"]}, {"message": "Green"}, {"message": "Green"}),
        (
            "question",
            {"options": [{"label": "No", "value": False}]},
            {"answer": "false"},
            {"values": {"answer": False}},
        ),
        (
            "question",
            {"options": [{"label": "One", "value": 1}, {"label": "Text", "value": "1"}]},
            {"answer": "1"},
            {"values": {"answer": 1}},
        ),
        (
            "question",
            {"options": [{"label": "One", "value": 1}, {"label": "Text", "value": "1"}]},
            {"answer": "2"},
            {"values": {"answer": "1"}},
        ),
        (
            "approval",
            {},
            {"decision": "approve", "message": "Fine."},
            {"decision": "approve", "message": "Fine."},
        ),
        ("approval", {}, {"decision": "deny", "message": ""}, {"decision": "deny"}),
        ("plan_approval", {}, {"decision": "approve"}, {"decision": "approve"}),
        ("effect_check", {}, {"decision": "not_happened"}, {"decision": "not_happened"}),
        (
            "budget",
            {"schema": RAISE},
            {"decision": "approve", "max_budget_usd": 3},
            {"decision": "approve", "values": {"max_budget_usd": 3}},
        ),
        (
            "budget",
            {"schema": RAISE},
            {"decision": "finish", "max_budget_usd": 3},
            {"decision": "finish"},
        ),
        ("budget", {}, {"decision": "deny"}, {"decision": "deny"}),
        ("form", {"schema": object_of(n={"type": "integer"})}, {"n": 0}, {"values": {"n": 0}}),
        ("form", {"schema": object_of(n={"type": "integer"})}, {}, {"values": {}}),
        ("form", {"schema": {"type": "boolean"}}, {"answer": False}, {"values": False}),
        ("form", {"schema": {"enum": [1, 2]}}, {"answer": "2"}, {"values": 2}),
        (
            "form",
            {"schema": object_of(n={"type": ["integer", "null"]})},
            {},
            {"values": {"n": None}},
        ),
    ],
)
def test_content_becomes_an_answer(
    kind: str, fields: dict[str, Any], content: dict[str, Any], answer: dict[str, Any]
) -> None:
    form = form_of(kind, **fields)
    assert form.read(content) == answer
    check = check_answer(make_request(kind, **fields).asked, answer)
    assert check.problems == []
    for schema in check.schemas:
        jsonschema.validate(schema.value, schema.schema)


@pytest.mark.parametrize(
    ("kind", "fields", "content", "field"),
    [
        ("question", {"options": ["red"]}, {"answer": "green"}, "values"),
        ("question", {"options": ["red"]}, {}, "values"),
        ("question", {}, {}, "values"),
        ("approval", {}, {"message": "Fine."}, "decision"),
        ("approval", {}, {"decision": "edit"}, "input"),
        ("approval", {}, {"decision": "happened"}, "decision"),
        ("effect_check", {}, {"decision": "approve"}, "decision"),
        ("budget", {}, {"max_budget_usd": 3}, "decision"),
    ],
)
def test_content_that_decides_nothing_is_refused(
    kind: str, fields: dict[str, Any], content: dict[str, Any], field: str
) -> None:
    answer = form_of(kind, **fields).read(content)
    problems = check_answer(make_request(kind, **fields).asked, answer).problems
    assert [problem.loc for problem in problems] == [("body", field)]


@pytest.mark.parametrize(
    "schema",
    [
        {"required": ["n"]},
        {"type": "object"},
        {**object_of(a={"type": "string"}), "required": ["b"]},
        {**object_of(a={"type": "string"}), "anyOf": [{}]},
        object_of(a={"type": "object", "properties": {}}),
        object_of(a={"type": "array", "items": {"type": "string"}}),
        object_of(a={}),
        object_of(a=True),
        object_of(a={"type": "string", "writeOnly": True}),
        object_of(token={"type": "string", "format": "password"}),
        object_of(a={"$ref": "#/$defs/missing"}),
        {**object_of(a={"$ref": "#/$defs/a"}), "$defs": {"a": {"$ref": "#/$defs/a"}}},
        object_of(a={"enum": [{"nested": 1}]}),
        object_of(a={"type": ["string", "integer"]}),
        object_of(a={"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        object_of(**{f"f{n}": {"type": "string"} for n in range(31)}),
        object_of(**{"a\x1b[2J": {"type": "string"}}),
        {"type": "array", "items": {"type": "object"}},
    ],
)
def test_other_schemas_need_the_page(schema: dict[str, Any]) -> None:
    assert form_for(schema) is None


def test_a_request_too_long_for_a_client_needs_the_page() -> None:
    assert make_form(make_request("question", title="?" * 10_000)) is None
    for characters, is_form in ((100, True), (300, False)):
        call = json.dumps({"command": "x" * characters})
        form = make_form(make_request("approval", tool_name="bash", tool_input=call))
        assert (form is not None) == is_form
    long = form_of("question", title="?" * 300)
    assert long.message.startswith(f"Read all of it at {URL}\n???")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "string", "format": "uuid", "title": "Id"}, {"type": "string", "title": "Id"}),
        (
            {"type": "string", "format": "date", "pattern": "("},
            {"type": "string", "format": "date"},
        ),
        ({"type": "string", "default": 5}, {"type": "string"}),
        ({"type": "integer", "default": True, "minimum": 1}, {"type": "integer", "minimum": 1}),
        ({"type": "boolean", "default": False}, {"type": "boolean", "default": False}),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, {"type": "number"}),
        (
            {"enum": ["a", "b", None], "default": "b"},
            {"type": "string", "enum": ["a", "b"], "default": "b"},
        ),
        (
            {"enum": ["a"], "enumNames": ["A"]},
            {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
        ),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        (
            {"type": "array", "items": {"$ref": "#/$defs/c"}, "minItems": 1},
            {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}, "minItems": 1},
        ),
        (
            {"type": "string", "title": "\x1b[2J\u202ehi"},
            {"type": "string", "title": "␛[2J⟨U+202E⟩hi"},
        ),
    ],
)
def test_fields_are_made_plain(given: dict[str, Any], field: dict[str, Any]) -> None:
    made = make_fields({**object_of(f=given), "$defs": {"c": {"enum": ["x", "y"]}}})
    assert made is not None
    assert made[0].schema == field


def test_the_message_shows_the_whole_call_and_what_declining_does() -> None:
    call = {"command": "git push\n\x1b]0;x\x07"}
    form = form_of("approval", title="Run bash?", tool_name="bash", tool_input=json.dumps(call))
    first = form.message.splitlines()[0]
    assert first == 'Run bash? {"command": "git push\\n\\u001b]0;x\\u0007"}'
    assert "Paint" in form.message
    assert "Decline means deny" in form.message
    assert f"edit the input, open {URL}" in form.message
    assert "edit" not in form.schema["properties"]["decision"]["oneOf"]
    assert form.schema["required"] == ["decision"]
    assert "\x1b" not in page_message(make_request("question", title="\x1b" * 900))
    assert len(page_message(make_request("question", title="?" * 9_000))) < 700


def test_declining_is_a_decision_except_about_effects() -> None:
    for kind in RequestKind:
        answer = read_decline(kind)
        problems = [] if answer is None else check_answer(Asked(kind), answer).problems
        assert (answer is None) == (kind is RequestKind.EFFECT_CHECK)
        assert problems == []


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["string", "integer", "number", "boolean", "array", "object", "null"]
        )
        | st.lists(st.sampled_from(["string", "null", "integer"]), max_size=3),
        "enum": st.lists(SCALARS, max_size=4),
        "enumNames": st.lists(st.text(), max_size=4),
        "const": SCALARS,
        "oneOf": st.lists(
            st.fixed_dictionaries({"const": SCALARS, "title": st.text()}), max_size=3
        ),
        "anyOf": st.lists(
            st.sampled_from([{"type": "null"}, {"type": "string"}, {"const": 1}]), max_size=3
        ),
        "items": st.sampled_from(
            [{}, {"enum": ["a"]}, {"type": "string"}, {"oneOf": [{"const": 1}]}, True]
        ),
        "format": st.sampled_from(["email", "uuid", "password", "date-time", 5]),
        "title": st.text() | st.integers(),
        "default": SCALARS | st.just([]),
        "minimum": SCALARS,
        "maxLength": SCALARS,
    },
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), KEYWORDS, max_size=4), st.data())
def test_every_form_has_only_fields_that_clients_take(
    properties: dict[str, Any], data: st.DataObject
) -> None:
    schema: dict[str, Any] = object_of(**properties)
    schema["required"] = list(properties)[:1]
    form = form_for(schema)
    if form is None:
        return
    for field in form.schema["properties"].values():
        assert is_taken(field), field
    picked = {
        field.name: data.draw(st.sampled_from(list(field.choices)))
        for field in form.fields
        if field.choices and field.schema["type"] == "string"
    }
    for name, value in form.read(picked)["values"].items():
        assert value is None or value in form_values(schema["properties"][name])


def form_values(schema: Mapping[str, Any]) -> list[Any]:
    """The values among which a schema lets one choose."""
    constants = [
        o["const"] for o in (*schema.get("oneOf", ()), *schema.get("anyOf", ())) if "const" in o
    ]
    return [*schema.get("enum", ()), *constants, *([schema["const"]] if "const" in schema else [])]


def is_taken(field: Mapping[str, Any]) -> bool:
    """Whether Claude Code 2.1.332 shows this field: what was measured, and nothing else."""
    keys = {
        "string": {"minLength", "maxLength", "default", "format", "enum", "oneOf"},
        "integer": {"minimum", "maximum", "default"},
        "number": {"minimum", "maximum", "default"},
        "boolean": {"default"},
        "array": {"items", "minItems", "maxItems"},
    }.get(field["type"])
    if keys is None or field.keys() - keys - {"type", "title", "description"}:
        return False
    titled = field.get("oneOf") or field.get("items", {}).get("anyOf", [])
    constants = [*field.get("enum", []), *field.get("items", {}).get("enum", [])]
    constants += [option["const"] for option in titled]
    needs_choices = field["type"] == "array" or "enum" in field or "oneOf" in field
    return (
        field.get("format", "date") in FORMATS
        and all(isinstance(constant, str) for constant in constants)
        and len(set(constants)) == len(constants)
        and bool(constants) == needs_choices
    )
