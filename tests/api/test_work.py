"""Executions without a task, retries, and messages to executions."""

from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select

from persistence.tables.executions import ExecutionRow, SignalRow
from persistence.tables.ledger import AuditRow
from tests.api.world import World, execute, give_session, make_task

Client = httpx2.AsyncClient

WORK = "/api/v1/task-executions"


async def signals(world: World, execution: dict[str, Any]) -> list[tuple[str, Any]]:
    """The signals to an execution except its start."""
    query = select(SignalRow).where(SignalRow.execution_id == UUID(execution["id"]))
    async with world.gateway.database.reading() as session:
        rows = await session.scalars(query.order_by(SignalRow.id))
        return [(row.kind, row.payload) for row in rows if row.kind != "start"]


async def definition(world: World, execution: dict[str, Any]) -> dict[str, Any]:
    """The definition kept with an execution."""
    async with world.gateway.database.reading() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        assert row.definition is not None
        return row.definition


async def actions(world: World, execution: dict[str, Any]) -> list[str]:
    """The audit log's actions on an execution."""
    query = select(AuditRow).where(AuditRow.entity_id == UUID(execution["id"]))
    async with world.gateway.database.reading() as session:
        rows = await session.scalars(query.order_by(AuditRow.id))
        return [row.action for row in rows]


async def work(client: Client, **body: Any) -> dict[str, Any]:
    response = await client.post(WORK, json=body)
    assert response.status_code == 202, response.text
    execution: dict[str, Any] = response.json()
    return execution


async def test_work_needs_no_task(world: World, client: Client) -> None:
    execution = await work(
        client, prompt="\nCount to {{ n }}.\nSlowly.", tags=["ad-hoc"], allowed_tools=["read_file"]
    )
    assert execution["status"] == "pending"
    assert execution["title"] == "Count to {{ n }}."
    assert execution["task_id"] is None
    assert execution["tags"] == ["ad-hoc"]
    assert execution["missing_variables"] == []
    assert execution["prompt_variables"] == {"message": "\nCount to {{ n }}.\nSlowly."}
    assert (await definition(world, execution))["allowed_tools"] == ["read_file"]
    assert await actions(world, execution) == ["execution.create"]
    listed = (await client.get(f"{WORK}?tag=ad-hoc")).json()["items"]
    assert [e["id"] for e in listed] == [execution["id"]]


async def test_with_variables_the_prompt_is_a_template(client: Client) -> None:
    execution = await work(client, title="T", prompt="{{ a }} {{ b }}", variables={"a": 1})
    assert (execution["title"], execution["missing_variables"]) == ("T", ["b"])
    strict = {"prompt": "{{ a }} {{ b }}", "variables": {"a": 1}, "strict_variables": True}
    assert (await client.post(WORK, json=strict)).status_code == 422


async def test_an_agents_tools_are_the_default(world: World, client: Client) -> None:
    lent = await work(client, prompt="x", agent_id="reviewer")
    assert lent["agent_id"] == "reviewer"
    assert (await definition(world, lent))["allowed_tools"]
    own = await work(client, prompt="x", agent_id="reviewer", allowed_tools=[])
    assert (await definition(world, own))["allowed_tools"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x", "executor": "people"}, "executor"),
        ({"prompt": "x", "agent_id": "reviewr"}, "agent_id"),
        ({"prompt": "x", "allowed_tools": ["ssh"]}, "allowed_tools"),
        ({"prompt": "x", "generate_report": True}, "report_format"),
        ({"prompt": "x", "sdk_options": {"model": "who", "max_budget_usd": 1}}, "sdk_options"),
        ({"prompt": "x", "working_directory_path": "/etc"}, "working_directory_path"),
        ({"prompt": "x", "is_public": True}, "is_public"),
    ],
)
async def test_work_that_cannot_be_done_is_refused(
    client: Client, body: dict[str, Any], field: str
) -> None:
    response = await client.post(WORK, json=body)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["loc"][1] == field


async def test_only_an_admin_bypasses_permissions(client: Client, admin: Client) -> None:
    body = {"prompt": "x", "sdk_options": {"permission_mode": "bypassPermissions"}}
    assert (await client.post(WORK, json=body)).status_code == 403
    assert (await admin.post(WORK, json=body)).status_code == 202


async def test_the_command_line_says_who_it_is(client: Client) -> None:
    response = await client.post(WORK, json={"prompt": "x"}, headers={"Perdure-Client": "cli"})
    assert response.json()["trigger_type"] == "cli"


async def test_a_retry_is_the_same_again(world: World, client: Client, other: Client) -> None:
    task = await make_task(client, tags=["daily"])
    first = await execute(client, task, variables={"name": "Ada"}, priority=7, max_budget_usd=0.5)
    path = f"{first['_links']['self']}/retry"
    active = await client.post(path)
    assert (active.status_code, active.json()["code"]) == (409, "execution_active")
    session_id = await give_session(world, first, status="failed")
    await client.patch(task["_links"]["self"], json={"prompt_template": "Other."})

    response = await client.post(path)
    assert response.status_code == 202, response.text
    again = response.json()
    assert again["retry_of_id"] == first["id"]
    assert (again["trigger_type"], again["status"]) == ("retry", "pending")
    for field in ("task_id", "task_version", "prompt_variables", "priority", "tags", "title"):
        assert again[field] == first[field], field
    assert again["budget_usd"] == 0.5
    assert again["session_id"] != str(session_id)
    assert again["_links"]["retry_of"] == first["_links"]["self"]
    assert await actions(world, again) == ["execution.retry"]
    changed = await client.post(path, json={"variables": {"name": "Bo"}, "max_budget_usd": 1})
    assert changed.json()["prompt_variables"] == {"name": "Bo"}
    assert changed.json()["budget_usd"] == 1
    assert (await other.post(path)).status_code == 403


async def test_a_retry_needs_its_task(world: World, client: Client) -> None:
    task = await make_task(client)
    first = await execute(client, task)
    await give_session(world, first, status="completed")
    path = f"{first['_links']['self']}/retry"
    await client.patch(task["_links"]["self"], json={"is_active": False})
    assert (await client.post(path)).json()["code"] == "task_inactive"
    await client.delete(task["_links"]["self"])
    assert (await client.post(path)).status_code == 409


async def test_a_key_makes_a_retry_once(world: World, client: Client) -> None:
    first = await work(client, prompt="x")
    await give_session(world, first, status="failed")
    path, headers = f"{first['_links']['self']}/retry", {"Idempotency-Key": "once"}
    one = await client.post(path, headers=headers)
    two = await client.post(path, headers=headers)
    assert one.json()["id"] == two.json()["id"]
    assert two.headers["idempotency-replayed"] == "true"


async def test_a_message_steers_an_execution(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    path = f"{execution['_links']['self']}/messages"
    response = await client.post(path, json={"content": "Louder {{ x }}"})
    assert response.status_code == 202
    assert response.json()["id"] == execution["id"]
    assert await signals(world, execution) == [("message", {"content": "Louder {{ x }}"})]
    assert await actions(world, execution) == ["task.execute", "execution.message"]
    assert (await client.post(path, json={"content": " "})).status_code == 422


async def test_a_message_after_the_end_starts_another_execution(
    world: World, client: Client, other: Client
) -> None:
    task = await make_task(client, generate_report=True, report_format="html")
    first = await execute(client, task, variables={"name": "Ada"})
    session_id = str(await give_session(world, first, status="completed"))
    path = f"{first['_links']['self']}/messages"
    assert (await other.post(path, json={"content": "x"})).status_code == 403

    answers = [
        (await client.post(path, json={"content": f"And {n}?\n{{{{ name }}}}"})).json()
        for n in range(3)
    ]
    assert [a["status"] for a in answers] == ["pending", "blocked", "blocked"]
    assert {a["session_id"] for a in answers} == {session_id}
    assert [a["title"] for a in answers] == ["And 0?", "And 1?", "And 2?"]
    assert answers[0]["task_id"] == task["id"]
    assert answers[0]["missing_variables"] == []
    kept = await definition(world, answers[0])
    assert kept["allowed_tools"] == task["allowed_tools"]
    assert "name" not in kept["prompt_template"]


async def test_a_message_to_a_cancelled_execution_starts_another(
    world: World, client: Client
) -> None:
    first = await work(client, prompt="x")
    await give_session(world, first)
    await client.post(first["_links"]["cancel"])
    answer = await client.post(f"{first['_links']['self']}/messages", json={"content": "y"})
    assert answer.json()["id"] != first["id"]
    assert (answer.json()["status"], answer.json()["status_reason"]) == ("blocked", "session_busy")
