"""Pausing, resuming and forking as requests: whose, when, and what they leave behind."""

from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select

from domain.ids import new_id
from persistence.executions import signals
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import AuditRow
from tests.api.world import World, execute, give_session, make_task

Client = httpx2.AsyncClient
BASE = "/api/v1/task-executions"


async def running(world: World, client: Client) -> str:
    execution = await execute(client, await make_task(client))
    await give_session(world, execution)
    return str(execution["id"])


async def actions(world: World, execution_id: str) -> list[str]:
    async with world.gateway.database.reading() as session:
        rows = await session.scalars(
            select(AuditRow).where(AuditRow.entity_id == UUID(execution_id)).order_by(AuditRow.id)
        )
        return [row.action for row in rows]


async def signal_kinds(world: World, execution_id: str) -> list[str]:
    async with world.gateway.database.reading() as session:
        rows = await signals.list_unread(session, UUID(execution_id))
    return [row.kind for row in rows if row.kind != "start"]


async def test_pausing_twice_is_pausing_once(world: World, client: Client) -> None:
    execution_id = await running(world, client)
    for _ in range(2):
        response = await client.post(f"{BASE}/{execution_id}/pause")
        assert response.status_code == 202
        assert response.json()["pause_requested_at"] is not None
    for _ in range(2):
        response = await client.post(f"{BASE}/{execution_id}/resume")
        assert response.status_code == 202
        assert response.json()["pause_requested_at"] is None
    assert await signal_kinds(world, execution_id) == ["pause", "resume"]
    assert (await actions(world, execution_id))[1:] == ["execution.pause", "execution.resume"]


async def test_an_execution_is_asked_once_to_finish(world: World, client: Client) -> None:
    execution_id = await running(world, client)
    path = f"{BASE}/{execution_id}"
    assert (await client.get(path)).json()["_links"]["finish"] == f"{path}/finish"
    await client.post(f"{path}/pause")
    for _ in range(2):
        response = await client.post(f"{path}/finish", json={"message": "Three will do."})
        assert (response.status_code, response.json()["pause_requested_at"]) == (202, None)
    assert await signal_kinds(world, execution_id) == ["pause", "resume", "message", "finish"]
    assert (await actions(world, execution_id))[-1] == "execution.finish"
    await client.post(f"{path}/cancel")
    refused = await client.post(f"{path}/finish")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_an_execution_that_has_not_started_cannot_finish(client: Client) -> None:
    execution = await execute(client, await make_task(client))
    refused = await client.post(f"{BASE}/{execution['id']}/finish")
    assert (refused.status_code, "cancel it" in refused.json()["detail"]) == (409, True)
    assert "finish" not in execution["_links"]


async def test_pause_only_marks_an_execution_that_has_not_started(
    world: World, client: Client
) -> None:
    execution = await execute(client, await make_task(client))
    response = await client.post(f"{BASE}/{execution['id']}/pause")
    assert (response.status_code, response.json()["status"]) == (202, "pending")
    assert await signal_kinds(world, execution["id"]) == []


@pytest.mark.parametrize("action", ["pause", "resume", "fork"])
async def test_whose_it_is(world: World, client: Client, other: Client, action: str) -> None:
    execution_id = await running(world, client)
    body = {"at_turn": 0} if action == "fork" else {}
    theirs = await other.post(f"{BASE}/{execution_id}/{action}", json=body)
    assert (theirs.status_code, theirs.json()["code"]) == (403, "permission_denied")
    nobodys = await client.post(f"{BASE}/{new_id()}/{action}", json=body)
    assert nobodys.status_code == 404


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_an_ended_execution_does_not_change(
    world: World, client: Client, action: str
) -> None:
    execution = await execute(client, await make_task(client))
    await give_session(world, execution, "completed")
    response = await client.post(f"{BASE}/{execution['id']}/{action}")
    assert (response.status_code, response.json()["code"]) == (409, "execution_terminal")


async def test_a_fork_is_made_once_for_a_key(world: World, client: Client) -> None:
    execution_id = await running(world, client)
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution_id))
        row.prefix_sha256 = b"pinned"
    headers = {"Idempotency-Key": str(new_id())}
    body = {"at_turn": 0, "prompt": "Anew."}
    first, again = [
        await client.post(f"{BASE}/{execution_id}/fork", json=body, headers=headers)
        for _ in range(2)
    ]
    assert first.status_code == 202, first.text
    assert again.headers["Idempotency-Replayed"] == "true"
    fork = first.json()
    assert fork == again.json()
    assert (fork["forked_from_id"], fork["rendered_prompt"]) == (execution_id, "Anew.")
    assert await actions(world, fork["id"]) == ["execution.fork"]


async def test_who_waits_lists_for_what(client: Client, other: Client) -> None:
    first = await execute(client, await make_task(client))
    second = await execute(client, await make_task(client), prerequisites=[first["id"]])
    assert (second["status"], second["status_reason"]) == ("blocked", "prerequisites")
    path = f"{BASE}/{second['id']}/prerequisites"
    listed = (await client.get(path)).json()
    assert [item["id"] for item in listed["items"]] == [first["id"]]
    assert (await other.get(path)).status_code == 403


async def test_what_its_owner_took_back_is_not_forked(
    world: World, client: Client, other: Client
) -> None:
    task = await make_task(client, is_public=True)
    execution = await execute(other, task)
    await give_session(world, execution, "completed")
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.prefix_sha256 = b"\0" * 32
    fork = f"{BASE}/{execution['id']}/fork"
    changes = [({"is_active": False}, 409), ({"is_active": True, "is_public": False}, 403)]
    for change, status in changes:
        assert (await client.patch(task["_links"]["self"], json=change)).status_code == 200
        assert (await other.post(fork, json={"at_turn": 0})).status_code == status
    assert (await client.delete(task["_links"]["self"])).status_code == 204
    assert (await other.post(fork, json={"at_turn": 0})).status_code == 409


async def test_what_its_owner_took_back_starts_by_no_message(
    world: World, client: Client, other: Client
) -> None:
    task = await make_task(client, is_public=True)
    execution = await execute(other, task)
    session_id = await give_session(world, execution, "completed")
    paths = [f"{BASE}/{execution['id']}/messages", f"/api/v1/sessions/{session_id}/messages"]

    async def statuses() -> list[int]:
        return [
            (await other.post(path, json={"content": "Continue."})).status_code for path in paths
        ]

    changes = [({"is_active": False}, 409), ({"is_active": True, "is_public": False}, 403)]
    for change, status in changes:
        assert (await client.patch(task["_links"]["self"], json=change)).status_code == 200
        assert await statuses() == [status, status]
    assert (await client.delete(task["_links"]["self"])).status_code == 204
    assert await statuses() == [409, 409]
    started = (await other.get(f"/api/v1/task-executions?task_id={task['id']}")).json()
    assert started["total"] == 1
