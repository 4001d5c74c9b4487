"""What admins see and do: users, quotas, figures."""

from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import select

from domain.ids import new_id
from persistence.tables.ledger import AuditRow
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient
USERS = "/api/v1/admin/users"


async def read_user(world: World, subject: str) -> dict[str, Any]:
    async with world.client(subject) as client:
        me: dict[str, Any] = (await client.get("/api/v1/me")).json()
    return me


async def test_only_admins_administrate(world: World, client: Client) -> None:
    me = await read_user(world, "alice")
    for refused in (
        await client.get(USERS),
        await client.get(f"{USERS}/{me['id']}"),
        await client.patch(f"{USERS}/{me['id']}", json={"max_usd_per_day": 5}),
        await client.get("/api/v1/admin/stats"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


async def test_users_are_found_by_their_filters(world: World, admin: Client) -> None:
    subject = f"carol {new_id()}"
    me = await read_user(world, subject)
    found = await admin.get(USERS, params={"subject": subject})
    assert [user["id"] for user in found.json()["items"]] == [me["id"]]
    admins = (await admin.get(USERS, params={"role": "admin"})).json()["items"]
    assert [user["subject"] for user in admins] == ["root"]
    assert (await admin.get(USERS, params={"is_disabled": True})).json()["total"] == 0
    assert (await admin.get(USERS, params={"is_disabled": False})).json()["total"] >= 2
    assert (await admin.get(USERS, params={"nonsense": 1})).status_code == 422
    assert (await admin.get(f"{USERS}/{new_id()}")).status_code == 404


async def test_a_disabled_user_is_served_nothing(world: World, admin: Client) -> None:
    subject = f"dan {new_id()}"
    async with world.client(subject) as client:
        me = (await client.get("/api/v1/me")).json()
        key = (await client.post("/api/v1/api-keys", json={"name": "ci"})).json()
        path = f"{USERS}/{me['id']}"
        changed = await admin.patch(path, json={"is_disabled": True})
        assert changed.status_code == 200
        assert changed.json()["is_disabled"]
        for token in (client.headers["authorization"], f"Bearer {key['secret']}"):
            refused = await client.get("/api/v1/me", headers={"Authorization": token})
            assert (refused.status_code, refused.json()["code"]) == (403, "user_disabled")
        assert (await admin.patch(path, json={"is_disabled": False})).status_code == 200
        assert (await client.get("/api/v1/me")).status_code == 200
    async with world.gateway.database.reading() as session:
        rows = await session.scalars(
            select(AuditRow).where(AuditRow.entity_id == UUID(me["id"])).order_by(AuditRow.id)
        )
        recorded = [(row.action, row.before, row.after) for row in rows]
    off, on = {"is_disabled": False}, {"is_disabled": True}
    assert recorded == [("user.update", off, on), ("user.update", on, off)]


async def test_a_quota_of_a_user_s_own_holds_at_once(world: World, admin: Client) -> None:
    async with world.client(f"eve {new_id()}") as client:
        task = await make_task(client)
        await execute(client, task)
        me = (await client.get("/api/v1/me")).json()
        assert me["quotas"] == {
            "max_concurrent_executions": None,
            "max_usd_per_day": None,
            "max_stored_bytes": 20 * 1024**3,
            "max_memory_entries": 1_000_000,
        }
        assert (me["usage"]["concurrent_executions"], me["usage"]["usd_today"]) == (1, 0.0)
        path = f"{USERS}/{me['id']}"
        quotas = {
            "max_concurrent_executions": 1,
            "max_usd_per_day": 2.5,
            "max_stored_bytes": 5,
            "max_memory_entries": 6,
        }
        assert (await admin.patch(path, json=quotas)).status_code == 200
        assert (await client.get("/api/v1/me")).json()["quotas"] == quotas
        refused = await client.post(task["_links"]["execute"])
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert refused.headers["ratelimit-limit"] == "1"
        assert refused.headers["ratelimit-remaining"] == "0"
        free = {"max_concurrent_executions": None, "max_stored_bytes": None}
        assert (await admin.patch(path, json=free)).json()["max_usd_per_day"] == 2.5
        await execute(client, task)


async def test_changes_of_users_are_guarded(world: World, admin: Client) -> None:
    path = f"{USERS}/{(await read_user(world, f'fay {new_id()}'))['id']}"
    tag = (await admin.get(path)).headers["etag"]
    body = {"max_concurrent_executions": 7}
    assert (await admin.patch(path, json=body, headers={"If-Match": tag})).status_code == 200
    assert (await admin.patch(path, json=body, headers={"If-Match": tag})).status_code == 412
    for wrong in ({"max_concurrent_executions": -1}, {"max_usd_per_day": 1e-9}, {"role": "admin"}):
        assert (await admin.patch(path, json=wrong)).status_code == 422
    self_path = f"{USERS}/{(await admin.get('/api/v1/me')).json()['id']}"
    assert (await admin.patch(self_path, json={"is_disabled": True})).status_code == 409


async def test_the_figures_count_what_there_is(world: World, admin: Client) -> None:
    before = (await admin.get("/api/v1/admin/stats")).json()
    async with world.client(f"gil {new_id()}") as client:
        await execute(client, await make_task(client))
    after = (await admin.get("/api/v1/admin/stats")).json()
    assert after["users"] == before["users"] + 1
    assert after["tasks"] == before["tasks"] + 1
    assert after["executions"]["pending"] == before["executions"].get("pending", 0) + 1
    assert after["executions_today"]["pending"] == after["executions"]["pending"]
    assert after["queue"]["pending"] == after["executions"]["pending"]
    assert after["queue"]["oldest_pending_seconds"] >= 0
    assert after["cost_today_usd"] == 0


async def test_an_invited_user_begins_with_a_key(
    world: World, client: Client, admin: Client
) -> None:
    body = {"subject": f"grace {new_id()}"}
    assert (await client.post(USERS, json=body)).status_code == 403
    answer = await admin.post(USERS, json=body)
    assert answer.status_code == 201, answer.text
    invited = answer.json()
    headers = {"Authorization": f"Bearer {invited['api_key']}"}
    async with httpx2.AsyncClient(base_url=world.url, headers=headers) as grace:
        me = (await grace.get("/api/v1/me")).json()
        [key] = (await grace.get("/api/v1/api-keys")).json()["items"]
    assert (me["id"], me["role"]) == (invited["id"], "user")
    assert key["scopes"] == ["approve"]
    again = await admin.post(USERS, json=body)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_name")


async def test_admins_list_what_others_have_and_leave_an_entry(
    client: Client, admin: Client
) -> None:
    task = await make_task(client)
    execution = await execute(client, task)
    me = (await client.get("/api/v1/me")).json()["id"]
    for path, made in (("tasks", task["id"]), ("task-executions", execution["id"])):
        url = f"/api/v1/{path}"
        assert made not in [one["id"] for one in (await admin.get(url)).json()["items"]]
        for filters in ({"user_id": me}, {"all_users": "true"}):
            listed = (await admin.get(url, params=filters)).json()["items"]
            assert made in [one["id"] for one in listed]
        refused = await client.get(url, params={"all_users": "true"})
        assert refused.status_code == 403
    for path in ("input-requests", "sessions"):
        assert (await admin.get(f"/api/v1/{path}?user_id={me}")).status_code == 200
    entries = await admin.get(f"/api/v1/audit-logs?action=user.list_others&entity_id={me}")
    assert entries.json()["items"][0]["after"] == {
        "list": "/api/v1/sessions",
        "all_users": False,
    }
