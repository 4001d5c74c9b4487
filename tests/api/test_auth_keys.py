"""API keys: made once, stored as a hash, used, revoked, ended."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import event, text, update

from api.auth import authentication
from domain.ids import new_id
from persistence.identity import api_keys
from persistence.tables.ledger import ApiKeyRow
from tests.api.world import APPROVAL, World, ask, execute, make_task

Client = httpx2.AsyncClient
KEYS = "/api/v1/api-keys"


async def make_key(client: Client, **changed: Any) -> dict[str, Any]:
    response = await client.post(KEYS, json={"name": f"ci {new_id()}", **changed})
    assert response.status_code == 201, response.text
    key: dict[str, Any] = response.json()
    return key


def connect_with_key(world: World, key: dict[str, Any]) -> Client:
    headers = {"Authorization": f"Bearer {key['secret']}"}
    return Client(base_url=world.url, headers=headers)


async def test_a_key_authenticates_as_its_user(world: World, client: Client) -> None:
    key = await make_key(client)
    assert key["secret"].startswith("pdk_")
    assert key["secret"].startswith(key["prefix"])
    task = await make_task(client)
    async with connect_with_key(world, key) as program:
        me = (await program.get("/api/v1/me")).json()
        assert me["subject"] == "alice"
        assert me["credentials"] == {
            "kind": "api_key",
            "api_key_id": key["id"],
            "expires_at": None,
            "trigger_type": "api",
        }
        assert (await execute(program, task))["trigger_type"] == "api"


async def test_a_key_decides_only_with_the_scope_to_approve(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    requests = "/api/v1/input-requests"
    question, approval = await ask(world, execution), await ask(world, execution, **APPROVAL)
    decision = {"decision": "approve"}
    seen = [{"id": approval, "input_sha256": bytes(range(32)).hex()}]
    async with connect_with_key(world, await make_key(client)) as program:
        answered = await program.post(f"{requests}/{question}/answer", json={"message": "Blue."})
        assert answered.status_code == 200
        for path, body in (
            (f"{approval}/answer", decision),
            (f"{approval}/answer", {"decision": "deny"}),
            ("bulk/answer", {"requests": seen, **decision}),
        ):
            refused = await program.post(f"{requests}/{path}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert (await client.get(f"{requests}/{approval}")).json()["status"] == "open"
    async with connect_with_key(world, await make_key(client, scopes=["approve"])) as program:
        decided = await program.post(f"{requests}/{approval}/answer", json=decision)
    assert decided.json()["answer"] == decision


async def test_a_secret_is_shown_once_and_not_stored(world: World, client: Client) -> None:
    headers = {"Idempotency-Key": str(new_id())}
    body = {"name": f"once {new_id()}"}
    first = await client.post(KEYS, json=body, headers=headers)
    secret = first.json()["secret"]
    again = await client.post(KEYS, json=body, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {**first.json(), "secret": None}
    assert again.headers["etag"] == first.headers["etag"]
    read = await client.get(first.headers["location"])
    listed = (await client.get(KEYS)).json()["items"]
    assert read.json() in listed
    assert "secret" not in read.json()
    async with world.gateway.database.reading() as session:
        tables = await session.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        for table in tables:
            found = await session.scalar(
                text(f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE :it'),  # noqa: S608 - our own names
                {"it": f"%{secret}%"},
            )
            assert found == 0, table


async def test_a_revoked_key_is_refused_at_once(world: World, client: Client) -> None:
    key = await make_key(client)
    async with connect_with_key(world, key) as program:
        assert (await program.get("/api/v1/me")).status_code == 200
        assert (await client.delete(f"{KEYS}/{key['id']}")).status_code == 204
        assert (await program.get("/api/v1/me")).status_code == 401
    assert (await client.get(f"{KEYS}/{key['id']}")).status_code == 404
    assert (await client.delete(f"{KEYS}/{key['id']}")).status_code == 404
    assert (await make_key(client, name=key["name"]))["id"] != key["id"]


async def test_a_key_revoked_at_another_gateway_is_refused_within_seconds(
    world: World, client: Client
) -> None:
    key = await make_key(client)
    authenticator = world.gateway.authenticator
    async with connect_with_key(world, key) as program:
        assert (await program.get("/api/v1/me")).status_code == 200
        async with world.gateway.database.transaction() as session:
            row = await session.get_one(ApiKeyRow, UUID(key["id"]))
            await api_keys.revoke(session, row)
        assert authentication.REMEMBERED_SECONDS <= 10
        remembered = authenticator._remembered["token", key["secret"]]
        authenticator._remembered["token", key["secret"]] = (
            remembered[0],
            0.0,
        )  # as if those were over
        assert (await program.get("/api/v1/me")).status_code == 401


async def test_a_key_ends_when_it_was_to_end(world: World, client: Client) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    key = await make_key(client, expires_at=soon.isoformat())
    async with connect_with_key(world, key) as program:
        assert (await program.get("/api/v1/me")).status_code == 200
        async with world.gateway.database.transaction() as session:
            past = datetime.now(UTC) - timedelta(seconds=1)
            where = ApiKeyRow.id == UUID(key["id"])
            await session.execute(update(ApiKeyRow).where(where).values(expires_at=past))
        world.gateway.authenticator.forget(UUID((await client.get("/api/v1/me")).json()["id"]))
        assert (await program.get("/api/v1/me")).status_code == 401


async def test_the_last_use_is_written_once_a_minute(world: World, client: Client) -> None:
    key = await make_key(client)
    assert key["last_used_at"] is None
    owner = UUID((await client.get("/api/v1/me")).json()["id"])
    seen = []
    async with connect_with_key(world, key) as program:
        for _ in range(3):
            world.gateway.authenticator.forget(owner)
            await program.get("/api/v1/me")
            seen.append((await client.get(f"{KEYS}/{key['id']}")).json()["last_used_at"])
    assert seen[0] is not None
    assert len(set(seen)) == 1


async def test_a_key_makes_no_keys_and_users_make_none_for_admins(
    world: World, client: Client, admin: Client
) -> None:
    refused = await client.post(KEYS, json={"name": "x", "role": "admin"})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    for maker in (client, admin):
        async with connect_with_key(world, await make_key(maker)) as program:
            assert (await program.post(KEYS, json={"name": "more"})).status_code == 403
            assert (await program.get("/api/v1/me")).json()["role"] == "user"
    key = await make_key(admin, role="admin")
    async with connect_with_key(world, key) as program:
        assert (await program.get("/api/v1/admin/stats")).status_code == 200
    owner = (await admin.get("/api/v1/me")).json()["id"]
    async with world.client("root") as demoted:  # the next token makes the admin a user
        assert (await demoted.get("/api/v1/me")).json()["role"] == "user"
    world.gateway.authenticator.forget(UUID(owner))
    async with connect_with_key(world, key) as program:
        assert (await program.get("/api/v1/admin/stats")).status_code == 403


async def test_the_refusal_of_a_key_names_the_reason(client: Client) -> None:
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for body, field in (
        ({"name": " "}, "name"),
        ({"name": "x", "expires_at": past}, "expires_at"),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59Z"}, "expires_at"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "scope": []}, "scope"),
    ):
        response = await client.post(KEYS, json=body)
        assert response.status_code == 422, body
        assert response.json()["errors"][0]["loc"] == ["body", field]
    name = (await make_key(client))["name"]
    taken = await client.post(KEYS, json={"name": name})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_name")


async def test_a_made_up_key_is_no_key(world: World) -> None:
    for secret in ("pdk_", "pdk_" + "x" * 43, "pdk_" + "ü" * 43, "PDK_x"):
        async with Client(base_url=world.url) as program:
            header = [(b"authorization", b"Bearer " + secret.encode())]
            assert (await program.get("/api/v1/me", headers=header)).status_code == 401


async def test_a_busy_client_is_looked_up_by_one_request_at_a_time(
    world: World, client: Client
) -> None:
    """Otherwise all that are under way would look at once, every few seconds."""
    key = await make_key(client)
    authenticator, header = world.gateway.authenticator, f"Bearer {key['secret']}"
    principal = await authenticator.authenticate(header, "127.0.0.1")
    authenticator._remembered["token", key["secret"]] = (principal, 0.0)
    looks: list[str] = []
    engine = world.gateway.database.engine.sync_engine

    def count(*given: Any) -> None:
        looks.append(given[2])

    event.listen(engine, "before_cursor_execute", count)
    try:
        calls = (authenticator.authenticate(header, "127.0.0.1") for _ in range(20))
        assert set(await asyncio.gather(*calls)) == {principal}
    finally:
        event.remove(engine, "before_cursor_execute", count)
    assert len([look for look in looks if "api_keys" in look]) == 1


async def test_what_was_read_before_a_change_is_not_remembered(
    world: World, client: Client
) -> None:
    key = await make_key(client)
    authenticator, header = world.gateway.authenticator, f"Bearer {key['secret']}"
    owner = UUID((await client.get("/api/v1/me")).json()["id"])
    looking = asyncio.create_task(authenticator.authenticate(header, "127.0.0.1"))
    await asyncio.sleep(0)  # it has begun, and waits for the database
    assert not looking.done()
    authenticator.forget(owner)
    assert (await looking).api_key_id == UUID(key["id"])
    assert ("token", key["secret"]) not in authenticator._remembered


async def test_a_rotated_key_is_the_same_with_another_secret(world: World, client: Client) -> None:
    ends = datetime.now(UTC) + timedelta(days=7)
    old = await make_key(client, expires_at=ends.isoformat())
    answer = await client.post(f"{KEYS}/{old['id']}/rotate")
    assert answer.status_code == 201, answer.text
    new = answer.json()
    same = ("name", "role", "scopes")
    assert [new[field] for field in same] == [old[field] for field in same]
    assert datetime.fromisoformat(new["expires_at"]) >= ends
    async with connect_with_key(world, old) as before, connect_with_key(world, new) as after:
        assert (await before.get("/api/v1/me")).status_code == 401
        assert (await after.get("/api/v1/me")).status_code == 200
        refused = await after.post(f"{KEYS}/{new['id']}/rotate")
        assert refused.status_code == 403
    assert (await client.post(f"{KEYS}/{old['id']}/rotate")).status_code == 404


async def test_who_may_not_create_a_key_may_not_rotate_one(world: World, client: Client) -> None:
    key = await make_key(client)
    subject = f"admin {new_id()}"
    async with world.client(subject, role="admin") as admin:
        refused = await admin.post(f"{KEYS}/{key['id']}/rotate")
        assert refused.status_code == 403, refused.text
        powerful = await make_key(admin, role="admin")
    async with world.client(subject) as user:  # a token of the same user without the role
        refused = await user.post(f"{KEYS}/{powerful['id']}/rotate")
        assert refused.status_code == 403, refused.text
    async with connect_with_key(world, key) as program:
        assert (await program.get("/api/v1/me")).status_code == 200
