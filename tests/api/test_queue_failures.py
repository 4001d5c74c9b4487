"""What other queues do wrong. Further cases: leases in any order (tests/properties/test_leases.py),
clocks of workers (test_queue.py), priorities (test_queue_order.py), a prerequisite that has failed
(mcp/test_queue.py), repeated migrations (tests/cli/test_commands.py)."""

import asyncio

import httpx2

from domain.ids import new_id
from tests.api.mcp.agents import call, connect
from tests.api.test_queue import QUEUE, WORK, claim, enqueue, make_agent, read
from tests.api.world import World

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


async def test_a_search_takes_characters_literally(world: World) -> None:
    async with connect(world, user=f"user-{new_id()}", groups="queue,orchestrator") as agent:
        for text in ("100% of it", "100 of it", "a_b", "axb"):
            await call(agent, "task_enqueue", description=text)
        for searched in ("100%", "a_b"):
            found = await call(agent, "orchestrator_query_tasks", search_text=searched)
            assert found["total_count"] == 1
