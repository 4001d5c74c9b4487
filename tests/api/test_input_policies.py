"""A default answer that does not fit what it would answer is refused with the definition."""

from typing import Any

import httpx2
import pytest

from tests.api.world import TASK, make_task

Client = httpx2.AsyncClient
ASKING = {"allowed_tools": [], "ask_tools": ["bash"]}
QUESTION = {"allowed_tools": ["ask_user"]}
BOTH = {"allowed_tools": ["ask_user", "bash(git *)"]}
NO_PERSON = {"allowed_tools": ["read_file"]}
OFTEN = "tasks", "task-executions", "task-templates"


def policy(default: Any) -> dict[str, Any]:
    rule = {"mode": "wait", "due_seconds": 1, "on_expiry": "default", "default_answer": default}
    return {"human_input_policy": rule}


async def store(client: Client, route: str, fields: dict[str, Any]) -> httpx2.Response:
    task = {**TASK, **fields}
    del task["name"]
    body: dict[str, Any] = {"name": "x", **task}
    if route == "task-executions":
        ad_hoc = ("prompt_template", "default_variables")
        body = {"prompt": "Go.", **{k: v for k, v in task.items() if k not in ad_hoc}}
    elif route == "task-templates":
        body = {"name": "x", "task": task}
    return await client.post(f"/api/v1/{route}?dry_run=true", json=body)


def refusals(response: httpx2.Response) -> list[list[Any]]:
    return [error["loc"] for error in response.json().get("errors", [])]


@pytest.mark.parametrize(
    "default",
    [
        "no", "deny", False, 0, "", ["deny"], {"answer": "no"}, {"approved": False},
        {"decision": "nope"}, {"decision": "DENY"}, {"decision": None},
        {"values": {"answer": "no"}}, {"decision": "edit"}, {"decision": "edit", "input": "rm"},
        {"decision": "approve", "remember": "task"}, {"decision": "not_happened"},
    ],
)  # fmt: skip
async def test_what_is_no_decision_is_refused(client: Client, default: Any) -> None:
    response = await store(client, "tasks", {**ASKING, **policy(default)})
    assert response.status_code == 422, response.text
    assert refusals(response)[0][:3] == ["body", "human_input_policy", "default_answer"]


@pytest.mark.parametrize("route", OFTEN)
async def test_wherever_a_definition_is_stored(client: Client, route: str) -> None:
    for default, expected in (("no", 422), ({"decision": "deny"}, None)):
        response = await store(client, route, {**ASKING, **policy(default)})
        assert (response.status_code if expected else response.is_success) == (expected or True)


@pytest.mark.parametrize(
    ("fields", "default", "fits"),
    [
        (QUESTION, "red", True),
        (QUESTION, False, True),
        (QUESTION, {"values": {"answer": "red"}}, True),
        (QUESTION, {"decision": "approve"}, False),
        (QUESTION, {"message": ""}, False),
        (BOTH, "red", False),
        (BOTH, {"decision": "deny"}, True),
        (BOTH, {"decision": "approve", "values": "red"}, True),
        (NO_PERSON, "no", False),
        (NO_PERSON, {"decision": "deny"}, True),
        (NO_PERSON, {"decision": "skip"}, True),
        (NO_PERSON, {"decision": "not_happened"}, False),
        ({**ASKING, "disallowed_tools": ["bash(rm *)"]},
         {"decision": "edit", "input": {"command": "rm x"}}, False),
        ({**ASKING, "disallowed_tools": ["bash(rm *)"]},
         {"decision": "edit", "input": {"command": "ls"}}, True),
        (ASKING, {"decision": "edit", "input": {"cmd": "ls"}}, False),
        (ASKING, {"decision": "edit", "input": {"command": 5}}, False),
    ],
)  # fmt: skip
async def test_a_default_fits_what_it_would_answer(
    client: Client, fields: dict[str, Any], default: Any, *, fits: bool
) -> None:
    response = await store(client, "tasks", {**fields, **policy(default)})
    assert response.is_success == fits, response.text


async def test_a_default_is_checked_again_when_the_tools_change(client: Client) -> None:
    task = await make_task(client, **QUESTION, **policy("red"))
    path = task["_links"]["self"]
    refused = await client.patch(path, json={"ask_tools": ["bash"]})
    assert refused.status_code == 422
    assert refusals(refused)[0][:3] == ["body", "human_input_policy", "default_answer"]


async def test_an_escalation_names_who_is_next(client: Client) -> None:
    rule = {"human_input_policy": {"due_seconds": 60, "on_expiry": "escalate"}}
    response = await store(client, "tasks", {**ASKING, **rule})
    assert refusals(response) == [["body", "human_input_policy", "escalate_to"]]


@pytest.mark.parametrize("rule", ["auto", "ask", "tell_model", "fail"])
async def test_the_rule_for_unknown_effects_is_stored(client: Client, rule: str) -> None:
    task = await make_task(client, human_input_policy={"on_unknown_effect": rule})
    assert task["human_input_policy"]["on_unknown_effect"] == rule
    odd = await store(client, "tasks", {"human_input_policy": {"on_unknown_effect": "rerun"}})
    assert odd.status_code == 422
