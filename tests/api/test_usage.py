"""Usage over HTTP: who sees what, and which ranges make sense."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from tests.api.world import World, execute, make_task
from tests.waiting import now_within_an_hour

Client = httpx2.AsyncClient


async def ran(world: World, client: Client, **task: Any) -> dict[str, Any]:
    """A task with one execution that has cost something."""
    made = await make_task(client, **task)
    execution = await execute(client, made)
    async with world.gateway.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE executions SET status = 'completed', completed_at = now(), "
                "input_tokens = 7, cost_usd = 0.25, running_ms = 1500 WHERE id = :id"
            ),
            {"id": execution["id"]},
        )
    return made


async def read(client: Client, **query: str) -> dict[str, Any]:
    response = await client.get("/api/v1/usage", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_everyone_sees_their_own_and_admins_all(
    world: World, client: Client, other: Client, admin: Client
) -> None:
    today = (await now_within_an_hour()).date()
    task = await ran(world, client)
    found = await read(client)
    assert (found["group_by"], found["to"]) == ("day", today.isoformat())
    assert found["from"] == (today - timedelta(days=29)).isoformat()
    (day,) = found["items"]
    assert day["day"] == today.isoformat()
    sums = {name: day[name] for name in found["totals"]}
    assert sums == found["totals"]
    assert (sums["executions"], sums["completed"], sums["success_rate"]) == (1, 1, 1.0)
    assert (sums["input_tokens"], sums["cost_usd"]) == (7, 0.25)
    assert (sums["running_seconds"], sums["human_wait_seconds"]) == (1.5, 0.0)

    assert (await read(other))["totals"]["executions"] == 0
    assert (await read(other))["totals"]["success_rate"] is None
    assert (await read(admin))["totals"]["executions"] == 1
    (user,) = (await read(admin, group_by="user"))["items"]
    assert (user["user"], user["user_id"]) == ("alice", task["user_id"])
    own = await read(client, user_id=task["user_id"])
    assert own["totals"]["executions"] == 1
    (group,) = (await read(client, group_by="task"))["items"]
    assert (group["task_id"], group["task_name"]) == (task["id"], task["name"])


@pytest.mark.parametrize("query", ["group_by=user", "user_id=01a1fcea-db57-7b25-aa1c-24f4ba584c11"])
async def test_the_usage_of_others_is_for_admins(client: Client, admin: Client, query: str) -> None:
    refused = await client.get(f"/api/v1/usage?{query}")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert (await admin.get(f"/api/v1/usage?{query}")).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "group_by=colour",
        "from=2026-02-30",
        "from=2026-03-02&to=2026-03-01",
        "from=2025-01-01&to=2026-01-02",
        "since=2026-01-01",
        "task_id=7",
    ],
)
async def test_what_makes_no_sense_is_refused(client: Client, query: str) -> None:
    response = await client.get(f"/api/v1/usage?{query}")
    assert response.status_code == 422, response.text


@pytest.mark.parametrize(
    "query",
    [
        "from=2025-01-01&to=2026-01-01",
        "from=2026-03-01T23:00:00-02:00&to=2026-03-02",
        "to=0001-01-02",
        "from=9999-12-31&to=9999-12-31",
        "to=9999-12-31",
    ],
)
async def test_days_and_times_within_a_year_are_taken(client: Client, query: str) -> None:
    for group in ("day", "model"):
        response = await client.get(f"/api/v1/usage?group_by={group}&{query}")
        assert response.status_code == 200, response.text
