"""A model that is retired is named where a task is stored, listed and executed."""

import httpx2

from tests.api.world import execute, make_task

RETIRED = "claude-mythos-preview"
OPTIONS = {"model": RETIRED}


async def test_a_retired_model_is_named(client: httpx2.AsyncClient) -> None:
    task = await make_task(client, sdk_options=OPTIONS)
    listed = (await client.get("/api/v1/tasks")).json()["items"][0]
    dry = (await client.post(f"/api/v1/tasks/{task['id']}/dry-run", json={})).json()
    execution = await execute(client, task)
    for read in (task, listed, dry, execution):
        assert any(f"{RETIRED} is retired" in warning for warning in read["warnings"])
    cron = {"schedule_cron": "0 9 * * *", "is_scheduled": True, "schedule_enabled": True}
    assert (await client.patch(task["_links"]["self"], json=cron)).status_code == 200
    schedule = (await client.get(f"/api/v1/tasks/{task['id']}/schedule")).json()
    assert f"{RETIRED} is retired" in schedule["note"]
    changed = await client.patch(task["_links"]["self"], json={"sdk_options": {}})
    assert not any(RETIRED in warning for warning in changed.json()["warnings"])
