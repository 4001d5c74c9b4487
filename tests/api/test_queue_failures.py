"""What other queues do wrong. Further cases: leases in any order (tests/properties/test_leases.py),
clocks of workers (test_queue.py), priorities (test_queue_order.py), a prerequisite that has failed
(mcp/test_queue.py), repeated migrations (tests/cli/test_commands.py)."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2

from domain.ids import new_id
from persistence.executions import prerequisites
from tests.api.mcp.agents import call, connect
from tests.api.test_queue import QUEUE, WORK, claim, enqueue, make_agent, read, report
from tests.api.world import World
from tests.persistence.test_locks import waiting_transaction

Client = httpx2.AsyncClient


async def test_a_cascade_changes_nothing_that_has_ended(client: Client) -> None:
    first = await enqueue(client)
    dependent = await enqueue(client, prerequisites=[first["id"]])
    await client.post(f"{WORK}/{dependent['id']}/cancel", json={"reason": "not needed"})
    before = await read(client, dependent)
    claimed = await claim(client, first)
    failure = {"lease_token": claimed["lease_token"], "message": "no"}
    await client.post(f"{QUEUE}/{first['id']}/fail", json=failure)
    after = await read(client, dependent)
    assert after == before
    assert (after["status"], after["cancel_reason"]) == ("cancelled", "not needed")


async def test_claims_at_the_same_time_get_different_work(client: Client) -> None:
    agent = await make_agent(client)
    works = [await enqueue(client, agent_id=agent) for _ in range(5)]
    responses = await asyncio.gather(
        *(client.post(f"{QUEUE}/claim", json={"agent_id": agent}) for _ in range(20))
    )
    claimed = [response.json()["id"] for response in responses if response.status_code == 200]
    assert sorted(claimed) == sorted(work["id"] for work in works)
    assert sum(response.status_code == 204 for response in responses) == 15


async def prune(client: Client, **body: Any) -> list[str]:
    response = await client.post(f"{QUEUE}/prune", json=body)
    assert response.status_code == 200, response.text
    return [item["execution_id"] for item in response.json()["items"]]


async def end(client: Client, work: dict[str, Any]) -> None:
    claimed = await claim(client, work)
    done = await report(client, claimed, detailed_work="A moon in June.")
    assert done.status_code == 200, done.text


async def test_work_whose_result_others_need_is_not_pruned(world: World) -> None:
    async with world.client(f"user-{new_id()}") as client:
        first = await enqueue(client)
        second = await enqueue(client, prerequisites=[first["id"]])
        whole = await enqueue(client)
        part = await enqueue(client, parent_execution_id=whole["id"])
        await end(client, first)
        await end(client, part)
        named = {"execution_ids": [first["id"], part["id"]]}
        assert await prune(client, **named) == []
        await end(client, second)
        await end(client, whole)
        assert await prune(client, **named) == [first["id"], part["id"]]


async def test_work_that_others_begin_to_need_meanwhile_is_not_pruned(world: World) -> None:
    database = world.gateway.database
    async with world.client(f"user-{new_id()}") as client:
        whole, other = await enqueue(client), await enqueue(client)
        part = await enqueue(client, parent_execution_id=whole["id"])
        for work in (part, whole, other):
            await end(client, work)
        waiting = await enqueue(client)
        ids = [UUID(part["id"]), UUID(waiting["id"])]
        async with database.transaction() as session:
            await prerequisites.lock_statuses(session, UUID(part["user_id"]), ids)
            pruning = prune(client, older_than_hours=1e-9, dry_run=False)
            async with waiting_transaction(database, pruning) as pruned:
                await prerequisites.store(session, ids[1], ids[:1])
        assert await pruned == [other["id"]]
        assert (await read(client, part))["result_data"]["text"] == "A moon in June."


async def test_whole_trees_of_finished_work_are_pruned(world: World) -> None:
    async with world.client(f"user-{new_id()}") as client:
        whole = await enqueue(client)
        part = await enqueue(client, parent_execution_id=whole["id"])
        other = await enqueue(client)
        await end(client, whole)
        await end(client, other)
        now = {"older_than_hours": 1e-9}
        assert await prune(client, **now) == [other["id"]], "a part has not ended"
        await end(client, part)
        assert await prune(client, **now) == [whole["id"], part["id"], other["id"]]
        assert await prune(client, **now, statuses=["failed"]) == []
        assert await prune(client, older_than_hours=1) == []
        named = {"execution_ids": [whole["id"]], "erase": True, "dry_run": False}
        assert await prune(client, **named) == [whole["id"], part["id"]]
        assert await prune(client, **now, dry_run=False) == [other["id"]]
        assert await prune(client, **now) == []
        erased, kept = await read(client, part), await read(client, other)
        assert (erased["rendered_prompt"], erased["result_data"]) == (None, None)
        assert kept["result_data"]["text"] == "A moon in June."
        for invalid in ({}, {**now, "statuses": ["pending"]}):
            refusal = await client.post(f"{QUEUE}/prune", json=invalid)
            assert refusal.status_code == 422, refusal.text


async def test_a_search_takes_characters_literally(world: World) -> None:
    async with connect(world, user=f"user-{new_id()}", groups="queue,orchestrator") as agent:
        for text in ("100% of it", "100 of it", "a_b", "axb"):
            await call(agent, "task_enqueue", description=text)
        for searched in ("100%", "a_b"):
            found = await call(agent, "orchestrator_query_tasks", search_text=searched)
            assert found["total_count"] == 1
