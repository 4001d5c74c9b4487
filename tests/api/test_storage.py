"""What a user stores is limited: definitions, artifacts, and files of workspaces."""

import base64
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from api.main import create_app
from domain.ids import new_id
from persistence.tables.sessions import SessionRow
from tests.api.conftest import serve_app, settings_of
from tests.api.world import World, execute, make_task

MIB = 1024 * 1024
LIMIT = 3 * MIB


@pytest.fixture(scope="module")
async def limited(
    module_database_url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A gateway where each user may store 3 MiB."""
    settings = settings_of(
        module_database_url,
        temporal_address,
        home=tmp_path_factory.mktemp("home"),
        max_stored_bytes_per_user=LIMIT,
        max_upload_bytes=2 * MIB,
        max_memory_entries_per_user=2,
    )
    app = create_app(settings)
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


@pytest.fixture
async def user(limited: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with limited.client(f"user {new_id()}") as client:
        yield client


async def profile(world: World, client: httpx2.AsyncClient) -> dict[str, Any]:
    """The user, with what is stored now."""
    me: dict[str, Any] = (await client.get("/api/v1/me")).json()
    world.gateway.services.storage.forget(UUID(me["id"]))
    again: dict[str, Any] = (await client.get("/api/v1/me")).json()
    return again


def artifact(size: int) -> dict[str, str]:
    return {"name": "a", "content_base64": base64.b64encode(os.urandom(size)).decode()}


async def test_memory_entries_are_counted_until_they_are_purged(
    limited: World, user: httpx2.AsyncClient
) -> None:
    async def put(key: str) -> httpx2.Response:
        return await user.put(f"/api/v1/memory/user:me/{key}", json={"value": key})

    for key in "aba":
        assert (await put(key)).status_code in (200, 201)
    refused = await put("c")
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert "have 2 memory entries and may have 2" in refused.json()["detail"]
    await user.delete("/api/v1/memory/user:me/a")
    assert (await put("c")).status_code == 429
    await user.delete("/api/v1/memory/user:me/a", params={"purge": True})
    assert (await profile(limited, user))["usage"]["memory_entries"] == 1
    assert (await put("c")).status_code == 201
    assert (await put("d")).status_code == 429
    me = await profile(limited, user)
    assert me["quotas"]["max_memory_entries"] == 2
    async with limited.client(f"admin {new_id()}", role="admin") as admin:
        path = f"/api/v1/admin/users/{me['id']}"
        assert (await admin.patch(path, json={"max_memory_entries": 3})).status_code == 200
    assert (await profile(limited, user))["quotas"]["max_memory_entries"] == 3
    assert (await put("d")).status_code == 201
    assert (await put("e")).status_code == 429


async def test_definitions_and_artifacts_count_until_the_limit(
    limited: World, user: httpx2.AsyncClient
) -> None:
    task = await make_task(user)
    words = base64.b64encode(os.urandom(MIB)).decode()  # it can't be compressed to less than 1 MiB
    changed = await user.patch(task["_links"]["self"], json={"prompt_template": words})
    assert changed.status_code == 200, changed.text
    used = (await profile(limited, user))["usage"]
    assert MIB < used["definition_bytes"] < 1.5 * MIB
    assert used["stored_bytes"] == used["definition_bytes"]
    assert (await user.post("/api/v1/artifacts", json=artifact(MIB))).status_code == 201
    refused = await user.post("/api/v1/artifacts", json=artifact(MIB))
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert "may store 3.0 MiB; this needs 1.0 MiB" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    used = (await profile(limited, user))["usage"]
    assert used["artifact_bytes"] == MIB
    # Small things still fit, and what only takes away always works.
    assert (await user.post("/api/v1/artifacts", json=artifact(100))).status_code == 201
    await execute(user, task)
    agent = {"agent_id": "a", "name": "a", "system_prompt": words}
    assert (await user.post("/api/v1/agents", json=agent)).status_code == 429
    longer = await user.patch(task["_links"]["self"], json={"prompt_template": f"{words} x"})
    assert longer.status_code == 429
    paused = await user.patch(task["_links"]["self"], json={"is_active": False})
    assert paused.status_code == 200


async def test_an_upload_ends_at_a_limit(limited: World, user: httpx2.AsyncClient) -> None:
    path = "/api/v1/artifacts/upload"
    too_large = await user.post(path, content=os.urandom(MIB * 5 // 2))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "upload_too_large")
    for size, status in ((2 * MIB, 201), (MIB + 1, 429), (MIB - 1, 201), (1, 429)):
        answer = await user.post(path, content=os.urandom(size))
        assert answer.status_code == status, answer.text
    assert (await profile(limited, user))["usage"]["artifact_bytes"] == LIMIT - 1


async def test_a_refused_upload_counts_until_its_file_is_deleted(
    limited: World, user: httpx2.AsyncClient
) -> None:
    path, key = "/api/v1/artifacts/upload", {"Idempotency-Key": "key"}
    content = os.urandom(MIB)
    for _ in range(2):
        assert (await user.post(path, content=content, headers=key)).status_code == 201
    other = await user.post(path, content=os.urandom(MIB), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await profile(limited, user))["usage"]["artifact_bytes"] == 2 * MIB
    assert (await user.post(path, content=os.urandom(MIB + 1))).status_code == 429


async def test_a_repeated_upload_counts_once(limited: World, user: httpx2.AsyncClient) -> None:
    path, key = "/api/v1/artifacts/upload", {"Idempotency-Key": "key"}
    assert (await user.post(path, content=b"first", headers=key)).status_code == 201
    content = os.urandom(2 * MIB)
    for _ in range(2):
        refused = await user.post(path, content=content, headers=key)
        assert refused.json()["code"] == "idempotency_key_reused"
    assert (await profile(limited, user))["usage"]["artifact_bytes"] == 2 * MIB + 5
    # It is in the store already, so it fits; another file of its size does not.
    other = await user.post(path, content=os.urandom(2 * MIB))
    assert (other.status_code, other.json()["code"]) == (429, "quota_exceeded")
    created = await user.post(path, content=content)
    assert created.status_code == 201, created.text
    assert (await profile(limited, user))["usage"]["artifact_bytes"] == 2 * MIB + 5
    assert (await user.post(path, content=content)).status_code == 429


async def test_workspaces_count_and_stop_new_executions(
    limited: World, user: httpx2.AsyncClient
) -> None:
    task = await make_task(user)
    conversation = (await user.post("/api/v1/sessions", json={})).json()
    async with limited.gateway.database.transaction() as session:
        where = SessionRow.id == UUID(conversation["id"])
        await session.execute(update(SessionRow).where(where).values(workspace_bytes=LIMIT))
    me = await profile(limited, user)
    assert me["quotas"]["max_stored_bytes"] == LIMIT
    assert me["usage"]["workspace_bytes"] == LIMIT
    refused = await user.post(task["_links"]["execute"])
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert "Delete sessions" in refused.json()["detail"]
    async with limited.client("root", role="admin") as admin:
        path = f"/api/v1/admin/users/{me['id']}"
        more = await admin.patch(path, json={"max_stored_bytes": 2 * LIMIT})
        assert more.json()["max_stored_bytes"] == 2 * LIMIT
    assert (await user.post(task["_links"]["execute"])).status_code == 202
    assert (await profile(limited, user))["quotas"]["max_stored_bytes"] == 2 * LIMIT


async def test_what_others_store_does_not_count(limited: World, user: httpx2.AsyncClient) -> None:
    await user.post("/api/v1/artifacts", json=artifact(2 * MIB))
    async with limited.client(f"other {new_id()}") as other:
        assert (await profile(limited, other))["usage"]["stored_bytes"] == 0
        assert (await other.post("/api/v1/artifacts", json=artifact(2 * MIB))).status_code == 201
