import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text

from api.main import create_app
from persistence.tables.executions import ExecutionRow
from tests.api.conftest import serve_app, settings_of
from tests.api.world import World, make_task

Client = httpx2.AsyncClient


@pytest.fixture
async def anonymous(world: World) -> AsyncIterator[Client]:
    """A client without a token."""
    async with httpx2.AsyncClient(base_url=world.url, timeout=60) as client:
        yield client


async def make_hook(client: Client, task: dict[str, Any], **body: Any) -> dict[str, Any]:
    response = await client.post(task["_links"]["hooks"], json=body)
    assert response.status_code == 201, response.text
    hook: dict[str, Any] = response.json()
    return hook


def path(hook: dict[str, Any]) -> str:
    return f"/api/v1/hooks/{hook['token']}"


async def test_a_call_executes_the_task_in_its_owners_name(
    client: Client, anonymous: Client, world: World
) -> None:
    task = await make_task(client)
    hook = await make_hook(client, task, name="from the shop")
    assert hook["url"] == f"{world.url}{path(hook)}"
    payload = {"name": "Ada", "order": {"id": 7}}
    response = await anonymous.post(path(hook), json=payload)
    assert response.status_code == 202, response.text
    accepted = response.json()
    execution = (await client.get(accepted["_links"]["execution"])).json()
    assert execution["id"] == accepted["execution_id"]
    assert execution["user_id"] == task["user_id"]
    assert execution["trigger_type"] == "webhook"
    assert execution["trigger_metadata"] == payload
    assert execution["prompt_variables"] == payload
    read = (await client.get(hook["_links"]["self"])).json()
    assert read["last_used_at"] is not None


async def test_the_token_is_shown_once_and_not_stored(
    client: Client, anonymous: Client, world: World
) -> None:
    task = await make_task(client)
    key = {"Idempotency-Key": "make-a-hook"}
    made = await client.post(task["_links"]["hooks"], headers=key)
    hook = made.json()
    again = await client.post(task["_links"]["hooks"], headers=key)
    assert (again.json()["id"], again.json()["token"]) == (hook["id"], None)
    listed = (await client.get(task["_links"]["hooks"])).json()
    assert [h["id"] for h in listed["items"]] == [hook["id"]]
    assert hook["token"] not in json.dumps(listed)
    called = await anonymous.post(path(hook), json={}, headers=key)
    assert called.status_code == 202
    refused = await anonymous.post(path(hook), content=b"[", headers={"Idempotency-Key": "bad"})
    assert refused.status_code == 400
    assert hook["token"] not in refused.text
    async with world.gateway.database.reading() as session:
        names = await session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
        for name in names.all():
            rows = await session.scalars(text(f"SELECT t::text FROM {name} t"))  # noqa: S608
            assert not any(hook["token"] in row for row in rows), name


async def test_a_repeated_call_makes_one_execution(client: Client, anonymous: Client) -> None:
    task = await make_task(client)
    hook = await make_hook(client, task)
    key = {"Idempotency-Key": "order-7"}
    first, second = [
        await anonymous.post(path(hook), json={"name": "Ada"}, headers=key) for _ in range(2)
    ]
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    reused = await anonymous.post(path(hook), json={"name": "Bob"}, headers=key)
    assert reused.json()["code"] == "idempotency_key_reused"
    executions = (await client.get(task["_links"]["executions"])).json()
    assert executions["total"] == 1


@pytest.mark.parametrize("header", ["webhook-id", "svix-id", "X-GitHub-Delivery"])
async def test_a_repeated_delivery_makes_one_execution(
    client: Client, anonymous: Client, header: str
) -> None:
    task = await make_task(client, is_active=False)
    hook = await make_hook(client, task)
    ids = {header: "msg_1", "webhook-timestamp": "1"}
    refused = await anonymous.post(path(hook), json={"name": "Ada"}, headers=ids)
    assert refused.status_code == 409
    await client.patch(task["_links"]["self"], json={"is_active": True})
    first = await anonymous.post(path(hook), json={"name": "Ada"}, headers=ids)
    ids["webhook-timestamp"] = "2"
    second = await anonymous.post(path(hook), json={"name": "Ada", "attempt": 2}, headers=ids)
    assert (first.status_code, second.json()) == (202, first.json())
    await anonymous.post(path(hook), json={}, headers={header: "msg_2"})
    for _ in range(2):
        await anonymous.post(path(hook), json={})
    executions = (await client.get(task["_links"]["executions"])).json()
    assert executions["total"] == 4
    assert (await client.post(task["_links"]["execute"], headers=ids)).status_code == 202
    assert (await client.get(task["_links"]["executions"])).json()["total"] == 5


async def test_an_unknown_token_is_not_found(client: Client, anonymous: Client) -> None:
    for token in ("x", "pdh_" + "A" * 43, "%F0%9F%98%80", "a" * 3000):
        response = await anonymous.post(f"/api/v1/hooks/{token}", json={})
        assert response.status_code == 404, token
    hook = await make_hook(client, await make_task(client))
    assert (await anonymous.post(path(hook) + "x", json={})).status_code == 404
    assert (await anonymous.get(path(hook))).status_code == 405


async def test_a_deleted_or_disabled_hook_is_not_found(client: Client, anonymous: Client) -> None:
    task = await make_task(client)
    hook, other_hook = await make_hook(client, task), await make_hook(client, task)
    assert (await client.delete(hook["_links"]["self"])).status_code == 204
    assert (await client.delete(hook["_links"]["self"])).status_code == 404
    assert (await anonymous.post(path(hook), json={})).status_code == 404
    assert (await anonymous.post(path(other_hook), json={})).status_code == 202
    await client.delete(task["_links"]["self"])
    assert (await anonymous.post(path(other_hook), json={})).status_code == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 202),
        (b"{}", 202),
        (b"[1]", 422),
        (b'"x"', 422),
        (b"{", 400),
        (b'{"a": "\\u0000"}', 422),
        (b'{"name": 5}', 422),
    ],
)
async def test_a_call_carries_a_json_object_that_fits(
    client: Client, anonymous: Client, content: bytes, status: int
) -> None:
    schema = {"properties": {"name": {"type": "string"}}}
    hook = await make_hook(client, await make_task(client, variables_schema=schema))
    response = await anonymous.post(path(hook), content=content)
    assert response.status_code == status, response.text


async def test_a_switched_off_task_is_not_executed(client: Client, anonymous: Client) -> None:
    task = await make_task(client)
    hook = await make_hook(client, task)
    await client.patch(task["_links"]["self"], json={"is_active": False})
    response = await anonymous.post(path(hook), json={})
    assert (response.status_code, response.json()["code"]) == (409, "task_inactive")


async def test_hooks_are_their_owners_business(client: Client, other: Client) -> None:
    task = await make_task(client, is_public=True)
    hook = await make_hook(client, task)
    for refused in (
        await other.post(task["_links"]["hooks"]),
        await other.get(task["_links"]["hooks"]),
        await other.get(hook["_links"]["self"]),
        await other.delete(hook["_links"]["self"]),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    elsewhere = await make_task(client)
    path_elsewhere = f"{elsewhere['_links']['hooks']}/{hook['id']}"
    assert (await client.get(path_elsewhere)).status_code == 404


async def test_many_calls_at_once_all_count(
    client: Client, anonymous: Client, world: World
) -> None:
    task = await make_task(client)
    hook = await make_hook(client, task)
    answers = await asyncio.gather(
        *(anonymous.post(path(hook), json={"name": str(n)}) for n in range(12))
    )
    assert {a.status_code for a in answers} == {202}
    ids = {UUID(a.json()["execution_id"]) for a in answers}
    async with world.gateway.database.reading() as session:
        rows = [await session.get_one(ExecutionRow, execution_id) for execution_id in ids]
    assert len({row.prompt_variables["name"] for row in rows}) == 12


async def test_the_audit_log_names_the_hook(
    client: Client, anonymous: Client, world: World
) -> None:
    task = await make_task(client)
    hook = await make_hook(client, task)
    called = (await anonymous.post(path(hook), json={})).json()
    async with world.gateway.database.reading() as session:
        found = await session.execute(
            text("SELECT action, actor_id, owner_id, after FROM audit_log WHERE entity_id = :id"),
            {"id": UUID(hook["id"])},
        )
        rows = {row.action: row for row in found}
    assert str(rows["hook.create"].actor_id) == task["user_id"]
    assert rows["hook.call"].actor_id is None
    assert str(rows["hook.call"].owner_id) == task["user_id"]
    assert rows["hook.call"].after["execution_id"] == called["execution_id"]


async def test_an_address_that_guesses_is_slowed_down(
    database_url: str, temporal_address: str
) -> None:
    app = create_app(settings_of(database_url, temporal_address, failed_auth_limit="3/minute"))
    async with serve_app(app) as url, httpx2.AsyncClient(base_url=url) as client:
        tried = [await client.post(f"/api/v1/hooks/guess-{n}") for n in range(5)]
    assert [response.status_code for response in tried] == [404, 404, 404, 429, 429]
    assert "guess-4" not in tried[4].text
