"""Memory entries: versions, compare-and-set, deletion, search, grants, import."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import delete, text, update

from persistence.ledger.audit import Actor
from persistence.tables.memory import MemoryEntryRow
from services.caller import Caller
from services.memory.entries import EntryWriter, delete_expired, put_entry
from services.memory.inputs import MemoryPut
from services.memory.reading import EntryAddress
from tests.api.factories import PROMPT
from tests.api.world import World
from tests.waiting import eventually

Client = httpx2.AsyncClient
BASE = "/api/v1/memory"
ALICE = f"{BASE}/user:alice"
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    """A user without entries."""
    async with world.client(f"alice-{uuid4()}") as client:
        yield client


async def put(
    client: Client, path: str, value: Any, headers: dict[str, str] | None = None, **fields: Any
) -> httpx2.Response:
    return await client.put(f"{BASE}/{path}", json={"value": value, **fields}, headers=headers)


async def keys(client: Client, **query: Any) -> list[str]:
    listed = await client.get(BASE, params=query)
    assert listed.status_code == 200, listed.text
    return [item["key"] for item in listed.json()["items"]]


async def test_an_entry_is_written_changed_and_read_in_each_version(client: Client) -> None:
    made = await put(client, "user:alice/editor", "vim", memory_type="procedural")
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == f"{ALICE}/editor"
    changed = await put(client, "user:alice/editor", {"name": "emacs"}, created_by="agent")
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    # What an update omits stays as it is.
    assert changed.json()["memory_type"] == "procedural"

    current = (await client.get(f"{ALICE}/editor")).json()
    assert (current["value"], current["created_by"]) == ({"name": "emacs"}, "agent")
    first = (await client.get(f"{ALICE}/editor", params={"version": 1})).json()
    assert (first["value"], first["version"], first["created_by"]) == ("vim", 1, None)
    history = (await client.get(current["_links"]["history"])).json()
    assert [item["value"] for item in history["items"]] == ["vim", {"name": "emacs"}]
    assert (await client.get(f"{ALICE}/editor", params={"version": 3})).status_code == 404


async def test_the_same_content_again_makes_no_version(client: Client) -> None:
    for status in (201, 200):
        stored = await put(client, "user:alice/a", "text", memory_type="episodic")
        assert (stored.status_code, stored.json()["version"]) == (status, 1)
    for version, value in enumerate((1, True), 2):  # equal in Python
        assert (await put(client, "user:alice/a", value)).json()["version"] == version


async def test_a_deleted_entry_keeps_its_versions_and_is_added_again(client: Client) -> None:
    await put(client, "user:alice/a", "one")
    assert (await client.delete(f"{ALICE}/a")).status_code == 204
    assert (await client.get(f"{ALICE}/a")).status_code == 404
    assert (await client.delete(f"{ALICE}/a")).status_code == 404
    assert await keys(client) == []
    again = await put(client, "user:alice/a", "two")
    assert (again.status_code, again.json()["version"]) == (201, 3)
    history = (await client.get(f"{ALICE}/a/history")).json()["items"]
    assert [(v["value"], v["is_deletion"]) for v in history] == [
        ("one", False),
        (None, True),
        ("two", False),
    ]


async def test_an_entry_that_is_purged_meanwhile_is_not_written(
    world: World, client: Client
) -> None:
    database = world.gateway.database
    entry_id = UUID((await put(client, "user:alice/a", "private")).json()["id"])

    async def is_waiting() -> bool:
        async with database.reading() as session:
            return bool(await session.scalar(text(WAITING)))

    async with database.transaction() as session:
        await session.execute(delete(MemoryEntryRow).where(MemoryEntryRow.id == entry_id))
        changing = asyncio.create_task(put(client, "user:alice/a", "new", {"If-Match": '"1"'}))
        await eventually(is_waiting)
    assert (await changing).status_code == 412
    made = await put(client, "user:alice/a", "new")
    assert made.status_code == 201


async def test_a_purge_leaves_nothing(client: Client) -> None:
    await put(client, "user:alice/a", "one")
    await client.delete(f"{ALICE}/a")
    assert (await client.delete(f"{ALICE}/a", params={"purge": True})).status_code == 204
    assert (await client.get(f"{ALICE}/a/history")).status_code == 404
    assert (await put(client, "user:alice/a", "two")).json()["version"] == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": '"1"'}, 200),
        ({"If-Match": '"7", "1"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"2"'}, 412),
        ({"If-None-Match": "*"}, 412),
        ({"If-Match": '"one"'}, 400),
    ],
)
async def test_a_write_names_the_version_that_it_replaces(
    client: Client, headers: dict[str, str], status: int
) -> None:
    await put(client, "user:alice/a", "one")
    answer = await put(client, "user:alice/a", "two", headers)
    assert answer.status_code == status, answer.text


async def test_a_precondition_on_a_missing_entry_creates_none(client: Client) -> None:
    assert (await put(client, "user:alice/a", 1, {"If-Match": '"1"'})).status_code == 412
    assert (await client.get(f"{ALICE}/a/history")).status_code == 404
    assert (await put(client, "user:alice/a", 1, {"If-None-Match": "*"})).status_code == 201


async def test_writers_that_compare_lose_no_update(client: Client) -> None:
    await put(client, "user:alice/count", 0)

    async def add_one() -> None:
        status = 0
        while status != 200:
            read = await client.get(f"{ALICE}/count")
            if read.status_code == 503:  # on a busy machine, no connection in time
                continue
            headers = {"If-Match": read.headers["etag"]}
            wrote = await put(client, "user:alice/count", read.json()["value"] + 1, headers)
            status = wrote.status_code
            assert status in (200, 412, 503)

    await asyncio.gather(*(add_one() for _ in range(50)))
    assert (await client.get(f"{ALICE}/count")).json()["value"] == 50


async def test_a_prefix_covers_a_namespace_and_those_below_it(client: Client) -> None:
    for namespace in ("user:alice", "user:alice:notes", "user:alice2", "user:al%25ice"):
        await put(client, f"{namespace}/{namespace[-3:]}", "x")
    assert await keys(client, namespace_prefix="user:alice") == ["tes", "ice"]
    assert await keys(client, namespace_prefix="user:alice:") == ["tes"]
    assert await keys(client, namespace_prefix="user:al_ce") == []


async def test_a_search_finds_the_present_versions_best_first(client: Client) -> None:
    await put(client, "project:x/deploys", "The service is deployed with blue and green stacks.")
    await put(client, "project:x/other", {"notes": ["deploy", "deploy"], "at": "Friday"})
    await put(client, "project:x/old", "deploy by hand")
    await put(client, "project:x/old", "gone")
    assert set(await keys(client, q="deploy")) == {"deploys", "other"}
    assert await keys(client, q="deploying stacks") == ["deploys"]  # by its stem
    assert await keys(client, q="deploy -friday") == ["deploys"]
    assert await keys(client, q="old") == ["old"]  # the key counts, too
    assert await keys(client, q="100%") == []
    for odd in ("'", "\\", "%(a)s", ":a", "$1", "[POSTCOMPILE_a]", "?", "a'::b", "\U0001f600"):
        assert await keys(client, q=odd) == []
    assert await keys(client, q="deploy", type="episodic") == []
    assert await keys(client, q="deploy", limit=1) == ["other"]


async def test_a_search_has_numbered_pages(client: Client) -> None:
    for name in "abcde":
        await put(client, f"user:alice/{name}", "deploy")
    first = (await client.get(BASE, params={"q": "deploy", "page_size": 2})).json()
    assert (first["total"], first["next_cursor"]) == (5, None)
    second = (await client.get(first["_links"]["next"])).json()
    third = (await client.get(second["_links"]["next"])).json()
    found = [item["key"] for page in (first, second, third) for item in page["items"]]
    assert sorted(found) == list("abcde")
    assert (third["page"], "next" in third["_links"]) == (3, False)
    beyond = (await client.get(BASE, params={"q": "deploy", "page_size": 2, "page": 4})).json()
    assert (beyond["items"], beyond["total"]) == ([], 5)


async def test_an_episodic_entry_expires(client: Client, world: World) -> None:
    entry = (await put(client, "task:1:log/a", "seen", memory_type="episodic")).json()
    days = datetime.fromisoformat(entry["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < days <= timedelta(days=90)
    await expire(world, entry, datetime.now(UTC) - timedelta(seconds=1))
    assert (await client.get(f"{BASE}/task:1:log/a")).status_code == 404
    assert await keys(client) == []
    assert await keys(client, q="seen") == []
    assert await delete_expired(world.gateway.database) == 1
    assert await delete_expired(world.gateway.database) == 0
    assert (await put(client, "task:1:log/a", "again")).status_code == 201


async def expire(world: World, entry: dict[str, Any], at: datetime) -> None:
    """Change when an entry expires."""
    async with world.gateway.database.transaction() as session:
        is_it = MemoryEntryRow.id == UUID(entry["id"])
        await session.execute(update(MemoryEntryRow).where(is_it).values(expires_at=at))


async def test_an_expired_entry_can_be_written_before_it_is_swept(
    client: Client, world: World
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    entry = (await put(client, "user:alice/a", "old", expires_at=soon)).json()
    await expire(world, entry, datetime.now(UTC) - timedelta(seconds=1))
    again = await put(client, "user:alice/a", "new")
    assert (again.status_code, again.json()["expires_at"]) == (201, None)
    assert (await client.get(f"{ALICE}/a")).json()["value"] == "new"


async def test_a_write_of_the_same_content_extends_an_episodic_entry(
    client: Client, world: World
) -> None:
    entry = (await put(client, "user:alice/a", "seen", memory_type="episodic")).json()
    await expire(world, entry, datetime.now(UTC) + timedelta(days=1))
    again = (await put(client, "user:alice/a", "seen")).json()
    assert again["version"] == 1
    assert datetime.fromisoformat(again["expires_at"]) > datetime.now(UTC) + timedelta(days=89)
    fixed = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for _ in range(2):
        kept = (await put(client, "user:alice/a", "seen", expires_at=fixed)).json()
        assert kept["version"] == 2


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        ("alice/a", {"value": 1}, ["path", "namespace"]),
        ("user:/a", {"value": 1}, ["path", "namespace"]),
        ("user:alice/a%2F..", {"value": 1}, ["path", "key"]),
        ("user:alice/a//b", {"value": 1}, ["path", "key"]),
        ("user:alice/a", {}, ["body", "value"]),
        ("user:alice/a", {"value": None}, ["body", "value"]),
        ("user:alice/a", {"value": "x" * 262_143}, ["body", "value"]),
        ("user:alice/a", {"value": 1, "memory_type": "fact"}, ["body", "memory_type"]),
        (
            "user:alice/a",
            {"value": 1, "expires_at": "2020-01-01T00:00:00Z"},
            ["body", "expires_at"],
        ),
    ],
)
async def test_a_wrong_write_says_what_to_change(
    client: Client, path: str, body: dict[str, Any], loc: list[str]
) -> None:
    refused = await client.put(f"{BASE}/{path}", json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["loc"] == loc


async def test_the_limit_of_a_value_is_the_same_in_every_script(client: Client) -> None:
    assert (await put(client, "user:alice/a", "語" * 87_380)).status_code == 201
    assert (await put(client, "user:alice/a", "語" * 87_381)).status_code == 422


async def test_keys_may_be_paths(client: Client) -> None:
    made = await put(client, "task:7:files/notes/a b.md", "text")
    assert made.status_code == 201, made.text
    assert (await client.get(made.headers["location"])).json()["key"] == "notes/a b.md"


async def test_memory_is_each_users_own_until_it_is_granted(client: Client, other: Client) -> None:
    await put(client, "project:x/a", "alice's")
    await put(client, "project:y/b", "alice's")
    shared = f"{BASE}/project:x/a"
    assert (await other.get(shared)).status_code == 404
    owner = (await client.get("/api/v1/me")).json()["subject"]
    grantee = (await other.get("/api/v1/me")).json()["subject"]
    of_alice = {"owner": owner}
    assert (await other.get(shared, params=of_alice)).status_code == 403

    body = {"namespace": "project:x", "grantee": grantee}
    grant = await client.post("/api/v1/memory-grants", json=body)
    assert grant.status_code == 201, grant.text
    read = (await other.get(shared, params=of_alice)).json()
    assert read["value"] == "alice's"
    assert (await other.get(read["_links"]["history"])).json()["total"] == 1
    assert await keys(other, **of_alice) == ["a"]
    assert await keys(other, q="alice", **of_alice) == ["a"]
    written = await other.put(shared, json={"value": "changed"}, params=of_alice)
    assert written.status_code == 403
    assert "grant to write" in written.json()["detail"]
    assert (await client.post("/api/v1/memory-grants", json=body)).status_code == 409
    links = (await other.get("/api/v1/memory-grants")).json()["items"][0]["_links"]
    assert (await other.delete(links["self"])).status_code == 403
    assert (await client.delete(links["self"])).status_code == 204
    assert (await other.get(shared, params=of_alice)).status_code == 403


async def test_a_grant_to_write_lets_a_user_write_for_the_owner(
    client: Client, other: Client
) -> None:
    me, you = [(await c.get("/api/v1/me")).json()["subject"] for c in (client, other)]
    body = {"namespace": "project:x", "grantee": you, "mode": "write"}
    assert (await client.post("/api/v1/memory-grants", json=body)).status_code == 201
    path, query = f"{BASE}/project:x:sub/a", {"owner": me}
    made = await other.put(path, json={"value": 1}, params=query)
    assert made.status_code == 201, made.text
    assert (await client.get(path)).json()["value"] == 1
    purge = await other.delete(path, params={**query, "purge": True})
    assert (purge.status_code, purge.json()["code"]) == (403, "permission_denied")
    assert (await other.delete(path, params=query)).status_code == 204
    assert len((await client.get(f"{path}/history")).json()["items"]) == 2
    unknown = await client.post("/api/v1/memory-grants", json={**body, "grantee": "unknown@x"})
    assert unknown.json()["errors"][0]["loc"] == ["body", "grantee"]


async def test_an_import_writes_all_entries_or_none(client: Client) -> None:
    items = [
        {"namespace": "user:alice", "key": f"k{n}", "value": n, "memory_type": "semantic"}
        for n in range(3)
    ]
    late = {**items[0], "key": "late"}
    wrong = [*items, {**late, "value": None}, late, {**late, "value": "x" * 262_143}]
    refused = await client.post(f"{BASE}/import", json={"items": wrong})
    assert refused.status_code == 422
    places = [error["loc"] for error in refused.json()["errors"]]
    assert places == [["body", "items", at, "value"] for at in (3, 5)]
    assert await keys(client) == []
    expired = {**late, "expires_at": "2020-01-01T00:00:00Z"}
    for created in (3, 0):
        done = await client.post(f"{BASE}/import", json={"items": [expired, *items]})
        assert done.json() == {"created": created, "existing": 3 - created, "expired": 1}
    assert "late" not in await keys(client)


async def test_an_execution_lists_what_it_read_and_wrote(client: Client, world: World) -> None:
    started = await client.post("/api/v1/task-executions", json=PROMPT)
    execution = started.json()
    me = (await client.get("/api/v1/me")).json()
    user_id, subject = UUID(me["id"]), me["subject"]
    caller = Caller(user_id=user_id, subject=subject, actor=Actor(user_id), is_agent=True)
    writer, mcp_client = (EntryWriter(UUID(execution["id"]), call) for call in ("toolu_1", None))
    address = EntryAddress("project:x", "a")
    for _ in range(2):
        async with world.gateway.services.transaction(caller) as work:
            await put_entry(work, address, MemoryPut(value="x"), writer=writer)
    (await client.delete(f"{BASE}/project:x/a")).raise_for_status()
    async with world.gateway.services.transaction(caller) as work:
        await put_entry(work, address, MemoryPut(value="y"), writer=mcp_client)
    used = (await client.get(execution["_links"]["memory"])).json()["items"]
    assert [(use["action"], use["version"], use["tool_use_id"]) for use in used] == [
        ("created", 1, "toolu_1"),
        ("created", 3, None),
    ]
    await client.delete(f"{BASE}/project:x/a", params={"purge": True})
    assert (await client.get(execution["_links"]["memory"])).json()["items"] == []


async def test_what_memory_needs_counts_against_the_stored_bytes(client: Client) -> None:
    before = (await client.get("/api/v1/me")).json()["usage"]["memory_bytes"]
    assert before == 0
    await put(client, "user:alice/a", "x" * 1_000)
    audit = (await client.get("/api/v1/audit-logs", params={"entity_type": "memory_entry"})).json()
    [row] = audit["items"]
    assert row["action"] == "memory_entry.create"
    assert row["after"] == {"namespace": "user:alice", "key": "a", "version": 1}
