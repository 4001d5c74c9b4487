import asyncio
from uuid import UUID

import httpx2
from sqlalchemy import text
from temporalio.client import Client as TemporalClient

from domain.ids import new_id
from persistence.db.idempotency import Key, claim
from tests.api.world import TASK, World, ask, execute, make_task

Client = httpx2.AsyncClient


async def test_a_repetition_gets_the_first_answer(client: Client) -> None:
    task = await make_task(client)
    path, key = task["_links"]["execute"], {"Idempotency-Key": str(new_id())}
    first = await client.post(path, json={"priority": 3}, headers=key)
    again = await client.post(path, json={"priority": 3}, headers=key)
    assert again.status_code == 202
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (await client.get(task["_links"]["executions"])).json()["total"] == 1

    other_body = await client.post(path, json={"priority": 4}, headers=key)
    assert other_body.status_code == 422
    assert other_body.json()["code"] == "idempotency_key_reused"
    waited = await client.post(f"{path}?wait=0.05", json={"priority": 3}, headers=key)
    assert waited.json()["id"] == first.json()["id"]
    assert waited.headers["idempotency-replayed"] == "true"


async def test_keys_belong_to_a_user_and_a_route(client: Client, other: Client) -> None:
    task = await make_task(client, is_public=True)
    key = {"Idempotency-Key": "the-same"}
    own = await client.post(task["_links"]["execute"], headers=key)
    theirs = await other.post(task["_links"]["execute"], headers=key)
    assert own.json()["id"] != theirs.json()["id"]
    created = await client.post("/api/v1/tasks", json={**TASK, "name": new_id().hex}, headers=key)
    assert created.status_code == 201


async def test_a_refusal_is_kept_too_and_leaves_nothing(client: Client) -> None:
    task = await make_task(client, is_active=False)
    path, key = task["_links"]["execute"], {"Idempotency-Key": str(new_id())}
    first = await client.post(path, headers=key)
    assert first.json()["code"] == "task_inactive"
    await client.patch(task["_links"]["self"], json={"is_active": True})
    again = await client.post(path, headers=key)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/problem+json"
    taken = {"name": task["name"]}
    duplicate = await client.post("/api/v1/tasks", json={**TASK, **taken}, headers=key)
    assert duplicate.json()["code"] == "duplicate_name"


async def test_a_refusal_after_the_commit_is_kept_too(
    world: World, client: Client, temporal_client: TemporalClient
) -> None:
    execution = await execute(client, await make_task(client))
    path = f"/api/v1/input-requests/{await ask(world, execution)}/answer"
    await temporal_client.get_workflow_handle(execution["workflow_id"]).terminate()
    key = {"Idempotency-Key": str(new_id())}
    first = await client.post(path, json={"message": "yes"}, headers=key)
    again = await client.post(path, json={"message": "yes"}, headers=key)
    assert (first.status_code, first.json()["code"]) == (409, "execution_terminal")
    assert (again.status_code, again.content) == (409, first.content)
    assert again.headers["idempotency-replayed"] == "true"


async def test_concurrent_requests_with_one_key_start_one_execution(client: Client) -> None:
    task = await make_task(client)
    path, key = task["_links"]["execute"], {"Idempotency-Key": str(new_id())}
    answers = await asyncio.gather(*(client.post(path, headers=key) for _ in range(10)))
    accepted = [a for a in answers if a.status_code == 202]
    assert len({a.json()["id"] for a in accepted}) == 1
    assert {a.status_code for a in answers} <= {202, 409}
    assert (await client.get(task["_links"]["executions"])).json()["total"] == 1


async def test_a_repeat_during_the_first_request_conflicts(world: World, client: Client) -> None:
    task = await make_task(client)
    path = task["_links"]["execute"]
    key = Key(UUID(task["user_id"]), f"POST {path}", "slow", b"")
    async with world.gateway.database.transaction() as session:
        assert await claim(session, key) is None
        repeat = await client.post(path, headers={"Idempotency-Key": "slow"})
    assert (repeat.status_code, repeat.json()["code"]) == (409, "idempotency_in_progress")
    assert (await client.post(path, headers={"Idempotency-Key": "slow"})).status_code == 202


async def test_keys_are_forgotten_after_a_day(world: World, client: Client) -> None:
    task = await make_task(client)
    path, key = task["_links"]["execute"], {"Idempotency-Key": str(new_id())}
    first = await client.post(path, headers=key)
    async with world.gateway.database.transaction() as session:
        await session.execute(text("UPDATE idempotency_keys SET expires_at = now()"))
    assert (await client.post(path, headers=key)).json()["id"] != first.json()["id"]


async def test_a_malformed_key_is_refused(client: Client) -> None:
    task = await make_task(client)
    for bad in ("", "a b", "x" * 256):
        response = await client.post(task["_links"]["execute"], headers={"Idempotency-Key": bad})
        assert (response.status_code, response.json()["code"]) == (400, "malformed_request")
