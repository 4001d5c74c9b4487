"""Artifacts are deleted when they are older than their task keeps them."""

from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import text

from services.artifact_retention import RetentionSweep
from tests.api.factories import API
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient
DAY = 86_400

END = text("""
UPDATE executions SET status = 'completed', completed_at = now() - make_interval(days => :days)
WHERE id = :id
""")


async def save(world: World, client: Client, task: dict[str, Any], *, days: int) -> str:
    """The path of an artifact of an execution that ended some days ago."""
    execution = await execute(client, task)
    body = {"name": "notes.md", "content": "notes", "execution_id": execution["id"]}
    made = await client.post(f"{API}/artifacts", json=body)
    assert made.status_code == 201, made.text
    async with world.gateway.database.transaction() as session:
        await session.execute(END, {"id": UUID(execution["id"]), "days": days})
    path: str = made.json()["_links"]["self"]
    return path


async def exists(client: Client, path: str) -> bool:
    return (await client.get(path)).status_code == 200


async def sweep(world: World) -> int:
    """What a worker does each minute."""
    services = world.gateway.services
    worker = RetentionSweep(services.database, services.storage)
    return await worker.sweep()


async def test_artifacts_are_kept_as_long_as_the_task_says(
    world: World, client: Client, other: Client
) -> None:
    task = await make_task(client, artifact_retention_seconds=7 * DAY, is_public=True)
    assert task["artifact_retention_seconds"] == 7 * DAY
    old, new = [await save(world, client, task, days=days) for days in (8, 6)]
    kept = await save(world, client, await make_task(client), days=800)
    of_another_user = await save(world, other, task, days=8)
    assert await sweep(world) == 1
    assert [await exists(client, path) for path in (old, new, kept)] == [False, True, True]
    assert await exists(other, of_another_user)

    changed = await client.patch(
        task["_links"]["self"], json={"artifact_retention_seconds": 5 * DAY}
    )
    assert changed.json()["version"] == task["version"]
    assert await sweep(world) == 1
    assert not await exists(client, new)
    rows = (await client.get(f"{API}/audit-logs?action=execution.delete_artifacts")).json()["items"]
    assert [row["after"] for row in rows[:2]] == [
        {"artifacts_deleted": 1, "reason": "retention"}
    ] * 2


async def test_a_dry_run_lists_what_would_be_deleted(
    world: World, client: Client, other: Client
) -> None:
    task = await make_task(client)
    old = await save(world, client, task, days=8)
    await save(world, client, task, days=1)
    path = f"{API}/tasks/{task['id']}/artifacts/prune"
    unclear = await client.post(path)
    assert unclear.status_code == 422
    assert unclear.json()["errors"][0]["loc"] == ["body", "older_than_seconds"]
    for dry_run in (True, False):
        assert await exists(client, old)
        body = {"older_than_seconds": 7 * DAY, "dry_run": dry_run}
        found = (await client.post(path, json=body)).json()
        assert [item["_links"]["self"] for item in found["items"]] == [old]
        assert (found["size_bytes"], found["has_more"]) == (5, False)
    assert not await exists(client, old)
    assert (await client.post(path, json={"older_than_seconds": 7 * DAY})).json()["items"] == []
    assert (await other.post(path, json={"older_than_seconds": 60})).status_code == 403
