"""What people enter on the page of a request, as a browser sends it without scripts."""

import json
from typing import Any

import pytest

from tests.api.browsing import Client, alice, new_request, read_input, read_request, submit, words
from tests.api.world import APPROVAL, World

__all__ = ["alice"]
ADDRESS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 100},
        "address": {
            "type": "object",
            "title": "Address",
            "properties": {
                "city": {"type": "string", "maxLength": 100},
                "zip": {"type": "integer", "minimum": 1000},
            },
            "required": ["city", "zip"],
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "colour": {"enum": ["red", "blue"]},
        "is_urgent": {"type": "boolean"},
        "password": {"type": "string", "format": "password"},
        "more": {"type": "object"},
    },
    "required": ["name", "address", "is_urgent"],
}


async def test_an_edited_input_is_what_runs(world: World, alice: Client) -> None:
    path = await new_request(world, **APPROVAL)
    changed = {"input/command": "git push --dry-run\r\ndate"}
    refused = await submit(alice, path, decision="approve", **changed)
    assert "You changed the input" in words(refused)
    response = await submit(alice, path, decision="edit", **changed)
    assert response.status_code == 303, response.text
    answer = (await read_request(world, path))["answer"]
    assert answer == {"decision": "edit", "input": {"command": "git push --dry-run\ndate"}}
    shown = (await alice.get(path)).text
    assert "<del>git push</del><ins>git push --dry-run</ins><ins>date</ins>" in shown


@pytest.mark.parametrize(
    ("typed", "decision", "problem"),
    [
        ('{"command": 1}', "edit", "1 is not of type"),
        ('{"command": "ls", "as": "root"}', "edit", "unexpected"),
        ('{"command": "ls", "command": "rm"}', "edit", "This key appears twice"),
        ('{"command": ', "edit", "This is not valid JSON. Line 1"),
        ('["ls"]', "edit", "Input should be an object"),
        ('{"command": "ls"}', "approve", "choose Approve with changes"),
    ],
)
async def test_a_wrong_edit_is_explained_and_kept(
    world: World, alice: Client, typed: str, decision: str, problem: str
) -> None:
    nested = json.dumps({"command": "git push", "env": {"CI": "1"}})  # can be edited as JSON only
    path = await new_request(world, **{**APPROVAL, "tool_input": nested})
    response = await submit(alice, path, decision=decision, input=typed, message="Not yet. \u202e")
    assert response.status_code == 422, response.text
    assert problem in words(response), words(response)
    assert read_input(response) == {"input": typed}
    assert "Not yet. \u202e" in response.text
    assert (await read_request(world, path))["status"] == "open"


async def test_a_nested_form_is_answered(world: World, alice: Client) -> None:
    path = await new_request(world, kind="form", title="Where to?", schema=ADDRESS)
    fields = {
        "values/name": "Ada",
        "values/address/city": "",
        "values/address/zip": "99",
        "values/tags": "one\r\ntwo",
        "values/is_urgent": "false",
        "values/colour": "",
        "values/password": "hunter2",
        "values/more": '{"a": ',
    }
    refused = await submit(alice, path, decision="approve", **fields)
    assert refused.status_code == 422
    for problem in ("Fill in this field.", "Write valid JSON. Line 1"):
        assert problem in words(refused)
    fields |= {"values/address/city": "Zug", "values/more": ""}
    refused = await submit(alice, path, decision="approve", **fields)
    assert 'id="values/address/zip-problem"' in refused.text, words(refused)
    assert ">\none\ntwo</textarea>" in refused.text
    fields["values/address/zip"] = "6300"
    answered = await submit(alice, path, decision="approve", **fields)
    assert answered.status_code == 303, words(answered)
    assert (await read_request(world, path))["answer"]["values"] == {
        "name": "Ada",
        "address": {"city": "Zug", "zip": 6300},
        "tags": ["one", "two"],
        "is_urgent": False,
        "password": "hunter2",
    }
    after = await alice.get(path)
    assert "Zug" in after.text
    assert "hunter2" not in after.text


@pytest.mark.parametrize(
    ("fields", "typed", "answer"),
    [
        ({}, {"decision": "approve", "message": "Blue."}, {"message": "Blue."}),
        (
            {"options": ["red", "blue"]},
            {"decision": "approve", "option": "1"},
            {"values": {"answer": "blue"}},
        ),
        (
            {"options": [{"label": "None", "value": 0}]},
            {"decision": "approve", "option": "0", "message": "Sure."},
            {"values": {"answer": 0}, "message": "Sure."},
        ),
        ({}, {"decision": "deny"}, {"decision": "deny"}),
        ({"kind": "budget"}, {"decision": "finish"}, {"decision": "finish"}),
        (
            {"kind": "effect_check", "tool_name": "bash", "tool_input": "{}"},
            {"decision": "happened", "message": "I saw it."},
            {"decision": "happened", "message": "I saw it."},
        ),
    ],
)
async def test_other_kinds_are_answered(
    world: World,
    alice: Client,
    fields: dict[str, Any],
    typed: dict[str, str],
    answer: dict[str, Any],
) -> None:
    path = await new_request(world, **fields)
    response = await submit(alice, path, **typed)
    assert response.status_code == 303, words(response)
    assert (await read_request(world, path))["answer"] == {"decision": "approve", **answer}


async def test_a_budget_is_raised(world: World, alice: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"max_budget_usd": {"type": "number", "minimum": 0.5}},
        "required": ["max_budget_usd"],
    }
    path = await new_request(world, kind="budget", title="Used up", schema=schema)
    field = "values/max_budget_usd"
    for typed, problem in (("", "Fill in"), ("much", "Write a number"), ("0.1", "minimum")):
        refused = await submit(alice, path, decision="approve", **{field: typed})
        assert refused.status_code == 422
        assert problem in words(refused), words(refused)
    assert (await submit(alice, path, decision="approve", **{field: "0.75"})).status_code == 303
    assert (await read_request(world, path))["answer"]["values"] == {"max_budget_usd": 0.75}


async def test_no_part_of_an_input_is_hidden_as_markdown(world: World, alice: Client) -> None:
    plan = {"plan": "Look first.\n\n[//]: # (then delete it)"}
    path = await new_request(world, **APPROVAL | {"tool_input": json.dumps(plan)})
    shown = (await alice.get(path)).text.partition('class="fold edit"')[0]
    assert "[//]: # (then delete it)" in shown
