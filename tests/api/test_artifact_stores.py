"""Artifacts in object storage: gateways share no disk. Disks that are full."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.main import create_app
from tests.api.conftest import serve_app, settings_of
from tests.api.test_queue import claim, enqueue, read, report
from tests.api.world import World
from tests.disks import SmallDisk

CONTENT = "0123456789" * 200_000  # more than the reader fetches at once


@asynccontextmanager
async def gateway(
    database_url: str, temporal_address: str, home: Path, url: str | None, **changed: object
) -> AsyncIterator[World]:
    settings = settings_of(database_url, temporal_address, home=home, artifacts_url=url, **changed)
    app = create_app(settings)
    async with serve_app(app) as address:
        yield World(address, app.state.gateway)


def directories_of_artifacts(homes: Path) -> list[Path]:
    return list(homes.glob("*/artifacts"))


async def test_gateways_share_only_the_object_storage(
    database_url: str,
    temporal_address: str,
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = gateway(database_url, temporal_address, tmp_path / "one", bucket)
    two = gateway(database_url, temporal_address, tmp_path / "two", bucket)
    async with one as first, first.client("alice") as client:
        made = await client.post("/api/v1/artifacts", json={"name": "a.txt", "content": CONTENT})
        assert made.status_code == 201, made.text
        path = made.json()["_links"]["content"]
    async with two as second, second.client("alice") as client:
        assert (await client.get(path)).text == CONTENT
        parts = await client.get(path, headers={"Range": "bytes=1-3,1999998-"})
        assert parts.status_code == 206
        assert b"\r\n\r\n123\r\n" in parts.content
        assert b"\r\n\r\n89\r\n" in parts.content
    assert not directories_of_artifacts(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret key")
    third = gateway(database_url, temporal_address, tmp_path / "three", bucket)
    async with third as refused, refused.client("alice") as client:
        for response in (
            await client.get(path),
            await client.post("/api/v1/artifacts", json={"name": "b", "content": "b"}),
        ):
            assert (response.status_code, response.json()["code"]) == (503, "artifacts_unavailable")
            assert response.headers["retry-after"]


async def test_a_slow_store_keeps_no_connection_to_the_database(
    database_url: str, temporal_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = gateway(database_url, temporal_address, tmp_path, None, database_pool_size=1)
    async with one as world, world.client("alice") as client:
        store = world.gateway.services.blobs.store
        put, may_store, storing = store.put, asyncio.Event(), asyncio.Semaphore(0)

        async def wait(file: Path, sha256: str) -> None:
            storing.release()
            await may_store.wait()
            await put(file, sha256)

        monkeypatch.setattr(store, "put", wait)
        claimed = await claim(client, await enqueue(client))
        body = {"lease_token": claimed["lease_token"], "detailed_work": "b"}
        async with asyncio.TaskGroup() as group:
            sent = [
                group.create_task(client.post(f"/api/v1/{path}", json=json, headers=headers))
                for path, json, headers in (
                    ("artifacts", {"name": "a", "content": "a"}, {"Idempotency-Key": "a"}),
                    ("artifacts", {"name": "c", "content": "c"}, {}),
                    (f"queue/{claimed['id']}/complete", body, {"Idempotency-Key": "b"}),
                )
            ]
            for _ in sent:
                await storing.acquire()
            assert (await client.get("/api/v1/tasks")).status_code == 200
            may_store.set()
        assert [task.result().status_code for task in sent] == [201, 201, 200]


async def test_a_full_disk_refuses_files_and_ends_no_work(
    database_url: str, temporal_address: str, tmp_path: Path, small_disk: SmallDisk
) -> None:
    url = f"file://{small_disk.path}/artifacts"
    one = gateway(database_url, temporal_address, tmp_path / "home", url)
    async with one as world, world.client("alice") as client:
        claimed = await claim(client, await enqueue(client))
        small_disk.fill()
        key = {"Idempotency-Key": "one"}
        upload = "/api/v1/artifacts/upload?name=a"
        body = {"lease_token": claimed["lease_token"], "detailed_work": CONTENT[:1000]}
        for response in (
            await client.post("/api/v1/artifacts", json={"name": "a", "content": CONTENT[:1000]}),
            await client.post(upload, content=CONTENT[:1000], headers=key),
            await client.post(f"/api/v1/queue/{claimed['id']}/complete", json=body, headers=key),
        ):
            assert (response.status_code, response.json()["code"]) == (503, "artifacts_unavailable")
            assert "full. Ask the operator to free space" in response.json()["detail"]
            assert response.headers["retry-after"]
        assert (await read(client, claimed))["status"] == "running"
        small_disk.free()
        stored = await client.post(upload, content=CONTENT[:1000], headers=key)
        assert stored.status_code == 201, stored.text
        done = await report(client, claimed, detailed_work=CONTENT[:1000])
        assert (done.status_code, done.json()["status"]) == (200, "completed")
