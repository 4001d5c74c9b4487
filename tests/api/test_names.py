"""Names of what clients find by its name or id."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from domain.ids import new_id
from persistence.tables.definitions import TaskRow
from tests.api.world import NAMED, World, make_named, make_task

Client = httpx2.AsyncClient


def require_refused(response: httpx2.Response) -> None:
    assert response.status_code == 422, response.text
    problem: dict[str, Any]
    [problem] = response.json()["errors"]
    assert problem["loc"] == ["body", "name"]
    assert "form of an id" in problem["msg"]


@pytest.mark.parametrize("path", NAMED)
async def test_a_new_name_must_not_look_like_an_id(client: Client, path: str) -> None:
    id_ = str(new_id())
    require_refused(await client.post(f"/api/v1/{path}", json={**NAMED[path], "name": id_}))
    made = await make_named(client, path, f"name-{id_}")
    require_refused(await client.patch(made["_links"]["self"], json={"name": id_}))
    renamed = await client.patch(made["_links"]["self"], json={"name": f"other-{id_}"})
    assert renamed.status_code == 200


async def test_names_like_files_and_digests_are_names(client: Client) -> None:
    for name in ("notes.md", "./task.yaml", new_id().hex):
        await make_named(client, "tasks", name)


async def test_a_stored_name_stays_valid(client: Client, world: World) -> None:
    """An earlier version has accepted it."""
    task, id_ = await make_task(client), str(new_id())
    async with world.gateway.database.transaction() as session:
        await session.execute(update(TaskRow).where(TaskRow.id == task["id"]).values(name=id_))
    changed = await client.patch(task["_links"]["self"], json={"tags": ["a"], "name": id_})
    assert (changed.status_code, changed.json()["name"]) == (200, id_)


async def test_a_task_from_a_template_needs_a_name_too(client: Client) -> None:
    template = await make_named(client, "task-templates", f"template {new_id()}")
    path = f"{template['_links']['self']}/create-task"
    require_refused(await client.post(path, json={"name": str(new_id())}))
