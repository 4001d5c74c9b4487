"""Many executions in one request."""

from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from services.executions import bulk
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient

BULK = "/api/v1/task-executions/bulk"


async def end_executions(world: World, *executions: dict[str, Any], status: str = "failed") -> None:
    """Let executions end, as their workflows do."""
    ids = [UUID(e["id"]) for e in executions]
    async with world.gateway.database.transaction() as session:
        change = update(ExecutionRow).where(ExecutionRow.id.in_(ids)).values(status=status)
        await session.execute(change)


async def test_cancel_by_filter_asks_those_that_fit(world: World, client: Client) -> None:
    task, other_task = await make_task(client), await make_task(client)
    executions = [await execute(client, task) for _ in range(4)]
    await end_executions(world, executions[0], status="completed")
    beside = await execute(client, other_task)
    body = {"filter": {"task_id": task["id"]}, "reason": "enough", "limit": 2}

    dry = await client.post(f"{BULK}/cancel", json={**body, "dry_run": True})
    assert dry.status_code == 200, dry.text
    assert dry.json()["execution_ids"] == [executions[1]["id"], executions[2]["id"]]
    assert (dry.json()["matched"], dry.json()["changed"], dry.json()["has_more"]) == (2, 0, True)

    first = (await client.post(f"{BULK}/cancel", json=body)).json()
    assert first["execution_ids"] == [executions[1]["id"], executions[2]["id"]]
    assert (first["changed"], first["has_more"], first["skipped"]) == (2, True, [])
    rest = (await client.post(f"{BULK}/cancel", json=body)).json()
    assert (rest["execution_ids"], rest["has_more"]) == ([executions[3]["id"]], False)
    for execution in executions[1:]:
        assert (await client.get(execution["_links"]["self"])).json()["cancel_requested_at"]
    assert not (await client.get(beside["_links"]["self"])).json()["cancel_requested_at"]


async def test_each_listed_execution_has_its_own_outcome(
    world: World, client: Client, other: Client
) -> None:
    task = await make_task(client)
    running, done = [await execute(client, task) for _ in range(2)]
    await end_executions(world, done, status="completed")
    theirs = await execute(other, await make_task(other))
    nobody = str(new_id())
    ids = [running["id"], done["id"], theirs["id"], nobody]
    result = (await client.post(f"{BULK}/cancel", json={"ids": ids})).json()
    assert result["execution_ids"] == [running["id"]]
    assert {s["id"]: s["code"] for s in result["skipped"]} == {
        done["id"]: "execution_terminal",
        theirs["id"]: "permission_denied",
        nobody: "not_found",
    }


async def test_retry_by_filter_takes_each_failed_one_once(world: World, client: Client) -> None:
    task = await make_task(client, tags=["nightly"])
    made = [await execute(client, task) for _ in range(4)]
    await end_executions(world, *made[:3])
    await end_executions(world, made[3], status="completed")
    body = {"filter": {"tag": "nightly", "status": ["failed", "cancelled"]}, "limit": 2}
    first = (await client.post(f"{BULK}/retry", json=body)).json()
    assert (first["matched"], first["changed"], first["has_more"]) == (2, 2, True)
    second = (await client.post(f"{BULK}/retry", json=body)).json()
    assert (second["changed"], second["has_more"]) == (1, False)
    new = first["execution_ids"] + second["execution_ids"]
    read = [(await client.get(f"/api/v1/task-executions/{id_}")).json() for id_ in new]
    assert [e["retry_of_id"] for e in read] == [e["id"] for e in made[:3]]
    assert (await client.post(f"{BULK}/retry", json=body)).json()["matched"] == 0
    named = await client.post(f"{BULK}/retry", json={"ids": [made[0]["id"]]})
    assert named.json()["changed"] == 1


async def test_a_repeated_request_changes_nothing_more(world: World, client: Client) -> None:
    made = await execute(client, await make_task(client))
    await end_executions(world, made)
    body, headers = {"ids": [made["id"]]}, {"Idempotency-Key": "bulk"}
    one = await client.post(f"{BULK}/retry", json=body, headers=headers)
    two = await client.post(f"{BULK}/retry", json=body, headers=headers)
    assert one.json() == two.json()
    listed = (await client.get(f"/api/v1/tasks/{made['task_id']}/executions")).json()
    assert listed["total"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"filter": {"status": []}},
        {"filter": {"tag": "x"}, "ids": [str(new_id())]},
        {"ids": []},
        {"filter": {"tag": "x"}, "limit": 1001},
        {"filter": {"state": "failed"}},
    ],
)
@pytest.mark.parametrize("action", ["cancel", "retry"])
async def test_what_could_mean_everything_is_refused(
    client: Client, action: str, body: dict[str, Any]
) -> None:
    response = await client.post(f"{BULK}/{action}", json=body)
    assert response.status_code == 422
    assert not any("Value error" in error["msg"] for error in response.json()["errors"])


async def test_what_runs_cannot_run_again(client: Client) -> None:
    response = await client.post(f"{BULK}/retry", json={"filter": {"status": ["running"]}})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "filter", "status"]
    assert "ended" in response.json()["errors"][0]["msg"]


async def test_what_there_is_no_time_for_is_left(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow database: the request ends, and says what it did not come to."""
    task = await make_task(client)
    made = [await execute(client, task) for _ in range(4)]
    await end_executions(world, *made)
    monkeypatch.setattr(bulk, "MAX_SECONDS", 0.0)
    ids = [e["id"] for e in made]
    named = (await client.post(f"{BULK}/retry", json={"ids": ids[:3]})).json()
    assert (named["changed"], named["has_more"]) == (0, True)
    assert [s["code"] for s in named["skipped"]] == ["not_reached"] * 3
    monkeypatch.setattr(bulk, "MAX_SECONDS", 10.0)
    fitting = {"filter": {"task_id": task["id"]}}
    rest = (await client.post(f"{BULK}/retry", json=fitting)).json()
    assert (rest["matched"], rest["changed"], rest["has_more"]) == (4, 4, False)
