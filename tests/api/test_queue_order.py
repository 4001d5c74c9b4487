"""The order of the queue, claims by capabilities, claims that wait, and the state of the queue."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from domain.ids import new_id
from services.external_work.priorities import recalculate_changed
from tests.api.factories import API
from tests.api.test_queue import QUEUE, WORK, claim, enqueue, make_agent, read, report
from tests.api.world import World

Client = httpx2.AsyncClient


async def next_title(client: Client, **body: Any) -> str | None:
    response = await client.post(f"{QUEUE}/claim", json=body)
    assert response.status_code in {200, 204}, response.text
    return response.json()["title"] if response.status_code == 200 else None


async def recalculate(world: World) -> None:
    """What a worker of Perdure does each second, until nothing is left to do."""
    while await recalculate_changed(world.gateway.database):
        pass


def format_time_in(**left: float) -> str:
    return (datetime.now(UTC) + timedelta(**left)).isoformat()


async def test_the_calculated_priority_decides_the_order(client: Client) -> None:
    agent = await make_agent(client)
    deadline = format_time_in(seconds=50)
    works: dict[str, dict[str, Any]] = {
        "usual": {},
        "urgent": {"deadline_at": deadline},
        "important": {"priority": 10},
        "from an agent": {"source": "agent_implementation"},
        "with an estimate": {
            "deadline_at": format_time_in(hours=2),
            "estimated_duration_seconds": 7000,
        },
    }
    made = {
        title: await enqueue(client, title=title, agent_id=agent, **fields)
        for title, fields in works.items()
    }
    assert made["usual"]["calculated_priority"] == 32.5
    assert made["urgent"]["calculated_priority"] == 45
    assert made["from an agent"]["calculated_priority"] == 28.75
    assert [await next_title(client, agent_id=agent) for _ in works] == [
        "important",
        "urgent",
        "with an estimate",
        "usual",
        "from an agent",
    ]


async def test_many_marks_of_one_execution_are_taken_without_a_pause(
    world: World, client: Client
) -> None:
    execution = await enqueue(client)
    await recalculate(world)
    async with world.gateway.database.transaction() as session:
        marks = """INSERT INTO outdated_priorities (execution_id)
            SELECT CAST(:id AS uuid) FROM generate_series(1, 501)"""
        await session.execute(text(marks), {"id": execution["id"]})
    assert await recalculate_changed(world.gateway.database) == 500
    assert await recalculate_changed(world.gateway.database) == 1


async def test_priorities_are_calculated_again(world: World, client: Client) -> None:
    """When work begins or ends to wait for it, a deadline comes closer, or its terms change."""
    first = await enqueue(client)
    dependents = [await enqueue(client, prerequisites=[first["id"]]) for _ in range(9)]
    await recalculate(world)
    assert (await read(client, first))["calculated_priority"] == pytest.approx(37.5, abs=0.01)
    deep = await enqueue(client, prerequisites=[dependents[0]["id"]])
    assert [one["dependency_depth"] for one in (first, dependents[0], deep)] == [0, 1, 2]
    assert deep["calculated_priority"] == 37.5

    for one in dependents[2:]:
        await client.post(f"{WORK}/{one['id']}/cancel")
    await recalculate(world)
    found = await read(client, first)
    assert found["calculated_priority"] == pytest.approx(32.5 + 0.15 * 33.33 * 0.4771, abs=0.01)

    path = f"{QUEUE}/{first['id']}"
    changed = await client.patch(path, json={"priority": 7, "deadline_at": format_time_in(days=3)})
    assert changed.status_code == 200, changed.text
    before = changed.json()["calculated_priority"]
    assert before == pytest.approx(found["calculated_priority"] + 6 - 5, abs=0.01)
    async with world.gateway.database.transaction() as session:
        # As if the days had passed: a worker finds the row by the time of the change.
        sooner = """UPDATE executions SET deadline_at = now() + interval '59 minutes',
            priority_changes_at = now() WHERE id = :id"""
        await session.execute(text(sooner), {"id": first["id"]})
    await recalculate(world)
    later = (await read(client, first))["calculated_priority"]
    assert later == pytest.approx(before + 0.25 * (80 - 30), abs=0.01)

    assert (await client.patch(path, json={})).json()["priority"] == 7
    unset = await client.patch(path, json={"deadline_at": None})
    assert unset.json()["deadline_at"] is None
    late = await client.patch(path, json={"deadline_at": "2020-01-01T00:00:00Z"})
    assert late.status_code == 422
    by_claude = (await client.post(WORK, json={"prompt": "x"})).json()
    refused = await client.patch(f"{QUEUE}/{by_claude['id']}", json={"priority": 1})
    assert (refused.status_code, by_claude["calculated_priority"]) == (409, None)


async def test_only_external_work_has_the_fields_of_the_queue(client: Client) -> None:
    work = await enqueue(client, summary="Rhymes", input_data={"words": ["moon"]})
    assert (work["summary"], work["source"]) == ("Rhymes", "human")
    claimed = await claim(client, work)
    assert claimed["input_data"] == {"words": ["moon"]}
    assert '"moon"' in claimed["specialist_context"]
    assert "earlier worker" not in claimed["specialist_context"]
    part = await enqueue(client, parent_execution_id=work["id"])
    assert part["parent_execution_id"] == work["id"]
    for field, value in {"input_data": {}, "source": "human", "summary": "x"}.items():
        refused = await client.post(WORK, json={"prompt": "x", field: value})
        assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", field])


async def test_a_worker_gets_only_work_that_it_is_capable_of(client: Client) -> None:
    paint, draw = f"paint-{new_id().hex}", f"draw-{new_id().hex}"
    painter = await make_agent(client, capabilities=[paint])
    artist = await make_agent(client, capabilities=[paint, draw])
    await enqueue(client, title="both", agent_id=artist, priority=9)
    await enqueue(client, title="one", agent_id=painter, priority=8)
    assert await next_title(client, agent_id=artist, capabilities=[paint]) is None
    await enqueue(client, title="anyone", priority=10)
    found = [await next_title(client, capabilities=[paint]) for _ in range(2)]
    assert found == ["anyone", "one"]
    assert await next_title(client, agent_id=artist, capabilities=[paint, draw]) == "both"


async def test_a_claim_waits_for_work(client: Client) -> None:
    agent = await make_agent(client)
    body = {"agent_id": agent, "lease_seconds": 600}
    key = {"Idempotency-Key": str(new_id())}
    nothing = await client.post(f"{QUEUE}/claim?wait=0.3", json=body, headers=key)
    assert nothing.status_code == 204

    first = await enqueue(client, agent_id=agent)
    held = await claim(client, first)
    waiting = [
        asyncio.create_task(client.post(f"{QUEUE}/claim?wait=30", json=body)) for _ in range(2)
    ]
    keyed = asyncio.create_task(client.post(f"{QUEUE}/claim?wait=30", json=body, headers=key))
    second = await enqueue(client, agent_id=agent, prerequisites=[first["id"]])
    third = await enqueue(client, agent_id=agent)
    await report(client, held, summary="x")
    fourth = await enqueue(client, agent_id=agent)
    responses = await asyncio.gather(*waiting, keyed)
    claimed = sorted(response.json()["id"] for response in responses)
    assert claimed == sorted(work["id"] for work in (second, third, fourth))
    again = await client.post(f"{QUEUE}/claim", json=body, headers=key)
    assert again.json()["id"] == responses[2].json()["id"]


async def test_the_state_of_the_queue(client: Client, other: Client) -> None:
    agent = await make_agent(other)
    first = await enqueue(other, agent_id=agent)
    second = await enqueue(other, agent_id=agent, prerequisites=[first["id"]])
    third = await enqueue(other, agent_id=agent)
    await claim(other, third)
    status = (await other.get(f"{QUEUE}/status")).json()
    [own] = [one for one in status["agents"] if one["agent_id"] == agent]
    assert own["counts"] == {"blocked": 1, "pending": 1, "running": 1}
    assert 0 <= own["oldest_pending_seconds"] < 60
    assert status["maximum_depth"] >= 1
    assert status["total"] >= 3

    ids = ",".join(work["id"] for work in (second, first, third))
    plan = (await other.get(f"{QUEUE}/plan?execution_ids={ids}")).json()
    assert [[work["id"] for work in batch] for batch in plan["batches"]] == [
        [first["id"], third["id"]],
        [second["id"]],
    ]
    assert (plan["total_batches"], plan["max_parallelism"]) == (2, 2)
    everything = (await other.get(f"{QUEUE}/plan")).json()
    assert second["id"] in {work["id"] for work in everything["batches"][1]}
    theirs = await client.get(f"{QUEUE}/plan?execution_ids={first['id']}")
    assert theirs.status_code == 422

    metrics = (await other.get(f"{API.removesuffix('/api/v1')}/metrics")).text
    assert "perdure_queue_claimed" in metrics
    assert 'perdure_queue_oldest_pending_seconds{agent="' in metrics
