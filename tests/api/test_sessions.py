"""Conversations that continue from one execution to the next."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from tests.api.test_work import actions, definition, signals
from tests.api.world import World, execute, give_session, make_task

Client = httpx2.AsyncClient

SESSIONS = "/api/v1/sessions"


async def converse(client: Client, **body: Any) -> dict[str, Any]:
    response = await client.post(SESSIONS, json=body)
    assert response.status_code == 201, response.text
    session: dict[str, Any] = response.json()
    return session


async def send_message(client: Client, session: dict[str, Any], content: str) -> dict[str, Any]:
    response = await client.post(session["_links"]["messages"], json={"content": content})
    assert response.status_code == 202, response.text
    execution: dict[str, Any] = response.json()
    return execution


async def becomes(world: World, execution: dict[str, Any], status: str) -> None:
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.status = status


async def test_a_conversation_is_made_read_changed_and_deleted(
    world: World, client: Client, other: Client
) -> None:
    made = await client.post(
        SESSIONS, json={"agent_id": "reviewer", "title": "On {{ x }}", "sdk_options": {}}
    )
    assert made.status_code == 201
    session = made.json()
    assert (session["is_interactive"], session["title"]) == (True, "On {{ x }}")
    assert (session["agent_id"], session["sdk_options"]) == ("reviewer", {})
    path = session["_links"]["self"]
    assert made.headers["location"] == path
    read = await client.get(path)
    assert (read.json(), read.headers["etag"]) == (session, made.headers["etag"])

    tag = {"If-Match": made.headers["etag"]}
    changed = await client.patch(path, json={"title": None}, headers=tag)
    assert (changed.status_code, changed.json()["title"]) == (200, None)
    assert (await client.patch(path, json={"title": "x"}, headers=tag)).status_code == 412
    assert (await client.patch(path, json={"name": "x"})).status_code == 422
    assert (await other.patch(path, json={"title": "x"})).status_code == 403
    assert (await client.delete(path, headers=tag)).status_code == 412
    assert (await other.delete(path)).status_code == 403
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404
    posted = await client.post(session["_links"]["messages"], json={"content": "x"})
    assert posted.status_code == 404
    expected = ["session.create", "session.update", "session.delete"]
    assert await actions(world, session) == expected


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"agent_id": "nobody"}, "agent_id"),
        ({"title": " "}, "title"),
        ({"sdk_options": {"max_turns": 0}}, "sdk_options"),
        ({"sdk_options": {"model": "who", "max_budget_usd": 1}}, "sdk_options"),
        ({"is_interactive": False}, "is_interactive"),
    ],
)
async def test_an_invalid_conversation_is_refused(
    client: Client, body: dict[str, Any], field: str
) -> None:
    response = await client.post(SESSIONS, json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][1] == field


async def test_lists_filter_by_kind(world: World, client: Client) -> None:
    task_session = str(await give_session(world, await execute(client, await make_task(client))))
    session = await converse(client, agent_id="planner")

    async def ids(query: str) -> list[str]:
        return [s["id"] for s in (await client.get(f"{SESSIONS}?{query}")).json()["items"]]

    assert session["id"] in await ids("is_interactive=true")
    assert task_session not in await ids("is_interactive=true")
    assert task_session in await ids("is_interactive=false")
    assert await ids("agent_id=planner") == [session["id"]]


async def test_each_message_is_a_turn_with_the_agent_and_the_options(
    world: World, client: Client
) -> None:
    options = {"max_turns": 3}
    session = await converse(client, agent_id="reviewer", sdk_options=options)
    first = await send_message(client, session, "Look at {{ this }}.")
    assert (first["session_id"], first["status"]) == (session["id"], "pending")
    assert (first["agent_id"], first["missing_variables"]) == ("reviewer", [])
    kept = await definition(world, first)
    assert kept["sdk_options"] == options
    assert kept["allowed_tools"]

    steered = await send_message(client, session, "And at that.")
    assert steered["id"] == first["id"]
    assert [kind for kind, _ in await signals(world, first)] == ["message"]

    await becomes(world, first, "completed")
    second = await send_message(client, session, "Thanks.")
    assert (second["status"], second["title"]) == ("pending", "Thanks.")
    refused = await client.delete(session["_links"]["self"])
    assert (refused.status_code, refused.json()["code"]) == (409, "execution_active")
    assert f"{second['id']} (pending)" in refused.json()["detail"]
    await becomes(world, second, "failed")
    assert (await client.delete(session["_links"]["self"])).status_code == 204


async def test_a_session_with_waiting_executions_is_not_deleted(client: Client) -> None:
    session = await converse(client)
    first = (await client.post("/api/v1/task-executions", json={"prompt": "Wait."})).json()
    body = {"prompt": "Report.", "session_id": session["id"], "prerequisites": [first["id"]]}
    waiting = [(await client.post("/api/v1/task-executions", json=body)).json() for _ in range(4)]
    refused = await client.delete(session["_links"]["self"])
    assert (refused.status_code, refused.json()["code"]) == (409, "execution_active")
    listed = ", ".join(f"{one['id']} (blocked: prerequisites)" for one in waiting[:3])
    assert refused.json()["detail"] == (
        f"Executions of this session have not ended: {listed} and others. Cancel them first."
    )
    for one in waiting:
        assert (await client.post(one["_links"]["cancel"])).status_code == 202
    assert (await client.delete(session["_links"]["self"])).status_code == 204


async def test_a_message_follows_what_waits_last(world: World, client: Client) -> None:
    session = await converse(client)
    first = await send_message(client, session, "One")
    queued = await client.post(
        session["_links"]["tasks"], json={"agent_id": "tester", "input": "Two"}
    )
    assert (queued.status_code, queued.json()["status"]) == (201, "blocked")
    assert (await send_message(client, session, "Three"))["id"] == queued.json()["id"]
    assert await signals(world, first) == []


async def test_a_tasks_conversation_continues_with_the_tasks_tools(
    world: World, client: Client
) -> None:
    task = await make_task(client)
    first = await execute(client, task)
    session_id = await give_session(world, first, status="completed")
    session = (await client.get(f"{SESSIONS}/{session_id}")).json()
    second = await send_message(client, session, "Continue.")
    assert (await definition(world, second))["allowed_tools"] == task["allowed_tools"]


async def test_each_of_several_concurrent_messages_is_received(
    world: World, client: Client
) -> None:
    session = await converse(client)
    words = [f"word {n}" for n in range(8)]
    sent = await asyncio.gather(*(send_message(client, session, word) for word in words))
    executions = {e["id"]: e for e in sent}
    assert [e["status"] for e in executions.values()].count("pending") == 1
    prompts = [e["prompt_variables"]["message"] for e in executions.values()]
    steering = [p["content"] for e in executions.values() for _, p in await signals(world, e)]
    assert sorted(prompts + steering) == words


async def test_work_in_a_conversation(client: Client, other: Client) -> None:
    session, elsewhere = await converse(client), await converse(client)
    parent = await send_message(client, session, "Plan it.")
    tasks = session["_links"]["tasks"]
    body = {"agent_id": "implementer", "input": "Build {{ it }}.\nWell."}
    made = await client.post(tasks, json={**body, "parent_task_id": parent["id"]})
    assert made.status_code == 201, made.text
    assert made.json()["parent_execution_id"] == parent["id"]
    assert made.json()["title"] == "Build {{ it }}."
    assert (await client.get(f"{parent['_links']['self']}/children")).json()["total"] == 1

    wrong = await client.post(
        elsewhere["_links"]["tasks"], json={**body, "parent_task_id": parent["id"]}
    )
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["loc"] == ["body", "parent_task_id"]
    nobody = await client.post(tasks, json={**body, "agent_id": "nobody"})
    assert nobody.status_code == 404
    nowhere = await client.post(f"{SESSIONS}/{new_id()}/tasks", json=body)
    assert nowhere.status_code == 404
    assert (await other.post(tasks, json=body)).status_code == 403
    assert (await client.post(tasks, json={**body, "input": ""})).status_code == 422


async def test_work_with_a_parent_is_ended_by_its_own_workflow(
    world: World, client: Client
) -> None:
    """Cancel sends a signal and does not end the row, or no workflow would continue the session."""
    session = await converse(client)
    parent = await send_message(client, session, "Plan it.")
    await becomes(world, parent, "completed")
    body = {"agent_id": "tester", "input": "Test it.", "parent_task_id": parent["id"]}
    work = (await client.post(session["_links"]["tasks"], json=body)).json()
    cancelled = (await client.post(work["_links"]["cancel"])).json()
    assert (cancelled["status"], bool(cancelled["cancel_requested_at"])) == ("pending", True)
    assert [kind for kind, _ in await signals(world, work)] == ["cancel"]


async def test_an_admins_message_belongs_to_the_owner(client: Client, admin: Client) -> None:
    session = await converse(client)
    execution = await send_message(admin, session, "Hello from the operator")
    assert execution["user_id"] == session["user_id"]
