"""The audit log over HTTP: whose entries one sees, how they are found, and the chain."""

from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text

from services import maintenance
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient
LOGS = "/api/v1/audit-logs"


async def entries(client: Client, **query: str) -> list[dict[str, Any]]:
    """All that the query finds, over its pages."""
    response = await client.get(LOGS, params={"page_size": "3", **query})
    assert response.status_code == 200, response.text
    found = response.json()
    items: list[dict[str, Any]] = found["items"]
    while "next" in found["_links"]:
        response = await client.get(found["_links"]["next"])
        assert response.status_code == 200, response.text
        found = response.json()
        items += found["items"]
    return items


async def test_an_entry_records_user_action_and_address(client: Client) -> None:
    response = await client.get("/api/v1/tasks")  # the user is known from here on
    task = await make_task(client, tags=["old"])
    headers = {"X-Request-ID": "the-request"}
    change = {"tags": ["new"]}
    response = await client.patch(task["_links"]["self"], json=change, headers=headers)
    assert response.status_code == 200
    changed, made = await entries(client, entity_id=task["id"])
    assert (made["action"], made["entity_type"]) == ("task.create", "task")
    assert (changed["action"], changed["actor"], changed["actor_id"]) == (
        "task.update",
        "alice",
        task["user_id"],
    )
    assert changed["before"]["tags"] == ["old"]
    assert changed["after"]["tags"] == ["new"]
    assert (changed["request_id"], changed["address"]) == ("the-request", "127.0.0.1")
    assert changed["owner_id"] == task["user_id"]
    read = await client.get(changed["_links"]["self"])
    assert read.json() == changed
    assert read.headers["etag"]


async def test_each_filter_narrows(client: Client) -> None:
    first = await make_task(client)
    second = await make_task(client)
    run = await execute(client, second)
    (started,) = await entries(client, entity_id=run["id"])
    assert started["action"] == "task.execute"
    both = [entry["entity_id"] for entry in await entries(client, action="task.create")]
    assert both[:2] == [second["id"], first["id"]]
    assert {e["entity_type"] for e in await entries(client, entity_type="execution")} == {
        "execution"
    }
    by_name = await entries(client, actor="alice")
    assert by_name == await entries(client, actor=first["user_id"])
    assert by_name
    assert await entries(client, actor="nobody") == []
    (since_then,) = await entries(client, **{"from": started["at"]})
    assert since_then == started
    before = await entries(client, to=started["at"], entity_type="task")
    assert [entry["entity_id"] for entry in before[:2]] == [second["id"], first["id"]]
    assert await entries(client, entity_id=run["id"], action="task.create") == []


async def test_everyone_sees_their_own_and_admins_all(
    client: Client, other: Client, admin: Client
) -> None:
    task = await make_task(client, is_public=True)
    await execute(other, task)
    theirs = await entries(other)
    assert task["id"] not in {entry["entity_id"] for entry in theirs}
    assert {entry["actor"] for entry in theirs} == {"bob"}
    (entry,) = await entries(client, entity_id=task["id"])
    refused = await other.get(entry["_links"]["self"])
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert (await admin.get(entry["_links"]["self"])).status_code == 200
    assert {"alice", "bob"} <= {e["actor"] for e in await entries(admin)}
    missing = await client.get(f"{LOGS}/{UUID(int=1)}")
    assert missing.status_code == 404


async def test_an_owner_sees_what_an_admin_did_to_their_thing(
    client: Client, other: Client, admin: Client
) -> None:
    run = await execute(client, await make_task(client))
    response = await admin.post(f"{run['_links']['self']}/cancel", json={"reason": "why not"})
    assert response.status_code == 202
    cancelled = (await entries(client, entity_id=run["id"]))[0]
    assert (cancelled["action"], cancelled["actor"]) == ("execution.cancel", "root")
    assert cancelled["owner_id"] == run["user_id"]
    assert await entries(other, entity_id=run["id"]) == []


@pytest.mark.parametrize(
    "query",
    [
        "entity_id=7",
        "from=yesterday",
        "from=2026-11-21",
        "since=2026-11-21T00:00:00Z",
        "cursor=%00",
        "page=0",
    ],
)
async def test_what_makes_no_sense_is_refused(client: Client, query: str) -> None:
    response = await client.get(f"{LOGS}?{query}")
    assert response.status_code == 422, response.text


@pytest.mark.parametrize("year", ["0001", "9999"])
async def test_the_ends_of_the_calendar_are_times_too(client: Client, year: str) -> None:
    time = f"{year}-12-31T23:59:59Z" if year == "9999" else "0001-01-01T00:00:00Z"
    for name in ("from", "to"):
        response = await client.get(LOGS, params={name: time})
        assert response.status_code == 200, response.text


async def test_an_admin_verifies_the_chain(
    world: World, client: Client, admin: Client, other: Client
) -> None:
    verify = f"{LOGS}/verify"
    for _ in range(4):
        await make_task(client)
    assert (await admin.get(verify)).json()["unsealed"] >= 4
    while await maintenance.chain_audit_entries(world.gateway.database):
        pass
    found = (await admin.get(verify)).json()
    assert (found["is_intact"], found["unsealed"], found["broken"]) == (True, 0, None)
    assert found["to_seq"] == found["verified"] == found["head"]["seq"]
    (newest, *_) = await entries(client)
    assert newest["seal"] == found["head"]

    part = (await admin.get(verify, params={"limit": 2})).json()
    assert (part["to_seq"], part["next_from_seq"]) == (2, 3)
    rest = (await admin.get(part["_links"]["next"])).json()
    assert (rest["from_seq"], rest["to_seq"], rest["is_intact"]) == (3, found["to_seq"], True)

    head = f"{found['head']['seq']}:{found['head']['hash']}"
    assert (await admin.get(verify, params={"expect_head": head})).json()["is_intact"]
    shorter = (await admin.get(verify, params={"expect_head": f"9999:{'0' * 64}"})).json()
    assert (shorter["is_intact"], shorter["head_mismatch"]["hash"]) == (False, None)
    nonsense = await admin.get(verify, params={"expect_head": "head"})
    assert nonsense.status_code == 422
    refused = await other.get(verify)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")

    async with world.gateway.database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        change = text("UPDATE audit_log SET address = '6.6.6.6' WHERE id = :id")
        await session.execute(change, {"id": UUID(newest["id"])})
    broken = (await admin.get(verify)).json()
    assert broken["is_intact"] is False
    assert broken["broken"] == {
        "fault": "hash_mismatch",
        "seq": newest["seal"]["seq"],
        "audit_id": newest["id"],
    }
