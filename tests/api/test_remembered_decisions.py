"""Decisions that are remembered with an answer: stored, listed, refused and revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from persistence.executions import remembered_decisions
from tests.api.world import APPROVAL, World, ask, execute, make_task

Client = httpx2.AsyncClient
RULES = "/api/v1/remembered-decisions"
ASKED = {**APPROVAL, "reach_sha256": b"reach"}


async def ask_for(world: World, client: Client, **fields: Any) -> tuple[dict[str, Any], str]:
    """An execution of a new task, and the path of its open approval."""
    execution = await execute(client, await make_task(client))
    return execution, f"/api/v1/input-requests/{await ask(world, execution, **ASKED | fields)}"


async def applying(world: World, execution: dict[str, Any]) -> list[UUID]:
    """The rules that the loop finds for a command of the execution."""
    async with world.gateway.database.reading() as session:
        found = await remembered_decisions.list_applying(session, UUID(execution["id"]), "bash")
    return [rule.id for rule in found]


async def test_a_rule_is_stored_listed_audited_and_revoked(
    world: World, client: Client, other: Client
) -> None:
    execution, path = await ask_for(world, client)
    body = {"decision": "approve", "remember": "task", "remember_pattern": "bash(git *)"}
    answered = await client.post(f"{path}/answer", json=body)
    assert answered.status_code == 200, answered.text
    task = (await client.get(execution["_links"]["task"])).json()
    [rule] = (await client.get(task["_links"]["remembered_decisions"])).json()["items"]
    assert rule["_links"]["input_request"] == path
    assert (rule["scope"], rule["decision"], rule["pattern"], rule["tool_input"]) == (
        "task",
        "approve",
        "bash(git *)",
        {"command": "git push"},
    )
    lifetime = datetime.fromisoformat(rule["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < lifetime <= timedelta(days=90)
    later = await execute(client, task)
    elsewhere = await execute(client, await make_task(client))
    of_other = await execute(other, await make_task(other))
    assert await applying(world, later) == [UUID(rule["id"])]
    assert await applying(world, elsewhere) == await applying(world, of_other) == []
    assert (await other.get(rule["_links"]["self"])).status_code == 403
    assert (await other.delete(rule["_links"]["self"])).status_code == 403
    assert (await other.get(RULES)).json()["items"] == []
    assert (await client.delete(rule["_links"]["self"])).status_code == 204
    assert await applying(world, later) == []
    assert (await client.get(rule["_links"]["self"])).status_code == 404
    entries = (await client.get(f"/api/v1/audit-logs?entity_id={rule['id']}")).json()["items"]
    assert [entry["action"] for entry in entries] == [
        "remembered_decision.revoke",
        "remembered_decision.create",
    ]


async def test_a_rule_for_an_execution_ends_with_it(world: World, client: Client) -> None:
    execution, path = await ask_for(world, client)
    body = {"decision": "deny", "remember": "execution", "message": "Never."}
    assert (await client.post(f"{path}/answer", json=body)).status_code == 200
    [rule] = (await client.get(execution["_links"]["remembered_decisions"])).json()["items"]
    assert (rule["scope"], rule["task_id"], rule["expires_at"]) == ("execution", None, None)
    assert await applying(world, execution) == [UUID(rule["id"])]
    later = await client.post(f"/api/v1/tasks/{execution['task_id']}/execute", json={})
    assert await applying(world, later.json()) == []


async def test_an_assignee_remembers_for_the_owner(
    world: World, client: Client, other: Client
) -> None:
    name = (await other.get("/api/v1/me")).json()["subject"]
    execution, path = await ask_for(world, client, assignee=name)
    body = {"decision": "approve", "remember": "task"}
    assert (await other.post(f"{path}/answer", json=body)).status_code == 200
    [rule] = (await other.get(f"{RULES}?task_id={execution['task_id']}")).json()["items"]
    assert rule["user_id"] == execution["user_id"] != rule["author_id"]
    [seen] = (await client.get(f"{RULES}?task_id={execution['task_id']}")).json()["items"]
    assert seen == rule
    assert (await other.delete(rule["_links"]["self"])).status_code == 204


@pytest.mark.parametrize(
    ("fields", "answer", "field"),
    [
        ({}, {"decision": "edit", "input": {"command": "ls"}, "remember": "task"}, "remember"),
        ({"reach_sha256": None}, {"decision": "approve", "remember": "task"}, "remember"),
        ({"kind": "effect_check"}, {"decision": "skip", "remember": "execution"}, "remember"),
        ({"kind": "budget"}, {"decision": "deny", "remember": "task"}, "remember"),
        (
            {},
            {"decision": "approve", "remember": "task", "remember_pattern": "bash(ls *)"},
            "remember_pattern",
        ),
        (
            {},
            {"decision": "approve", "remember": "task", "remember_pattern": "*"},
            "remember_pattern",
        ),
        ({}, {"decision": "approve", "remember_pattern": "bash(git *)"}, "remember_pattern"),
        (
            {},
            {"decision": "approve", "remember": "task", "remember_until": "2020-01-01T00:00:00Z"},
            "remember_until",
        ),
    ],
)
async def test_what_can_not_be_remembered(
    world: World, client: Client, fields: dict[str, Any], answer: dict[str, Any], field: str
) -> None:
    _, path = await ask_for(world, client, **fields)
    response = await client.post(f"{path}/answer", json=answer)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["loc"] == ["body", field]
    assert (await client.get(path)).json()["status"] == "open"


async def test_an_execution_without_a_task_has_no_rule_for_one(
    world: World, client: Client
) -> None:
    work = {"prompt": "Say hello.", "allowed_tools": [], "sdk_options": {}}
    execution = (await client.post("/api/v1/task-executions", json=work)).json()
    path = f"/api/v1/input-requests/{await ask(world, execution, **ASKED)}"
    answer = {"decision": "approve", "remember": "task"}
    refused = await client.post(f"{path}/answer", json=answer)
    assert refused.json()["errors"][0]["loc"] == ["body", "remember"]
    answer = {"decision": "approve", "remember": "execution"}
    assert (await client.post(f"{path}/answer", json=answer)).status_code == 200
