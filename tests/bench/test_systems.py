"""Every system does the job as its peers do: the same calls, in one world of real servers.

Only who changes the bench needs the result, so this is not part of `make test`.
"""

import asyncio

import pytest

from bench.job import Job, fresh_nonces
from bench.systems.own_process import dbos, langgraph, plain_loop
from bench.systems.perdure import perdure
from bench.systems.served_peers import langgraph_dev, restate
from bench.systems.system import Start
from bench.systems.temporal_peers import handwritten, pydantic_ai
from bench.world import World

pytestmark = pytest.mark.long

SYSTEMS = [
    *(perdure, handwritten, plain_loop, dbos, pydantic_ai),
    *(restate, langgraph, langgraph_dev),
]
RECORDS_NOTHING = (plain_loop, langgraph_dev)


@pytest.mark.parametrize("start", SYSTEMS, ids=lambda start: start.__name__)
async def test_the_job_is_done_with_every_call_made_once(world: World, start: Start) -> None:
    job = Job()
    before = (await world.calls()).count
    async with start(world) as system:
        seconds = await system.run(job, fresh_nonces(3), in_flight=2)
        recorded = await system.count_recorded(job, fresh_nonces(1)[0])
        assert all(pid > 0 for pid in system.roles.values())
    calls = (await world.calls()).requests[before:]
    conversations = {call["conversation"] for call in calls}
    assert len(seconds) == 3
    assert len(conversations) == 4
    assert sorted(call["turn"] for call in calls) == sorted([1, 2, 3, 4] * 4)
    assert all(call["status"] == 200 for call in calls)
    assert start in RECORDS_NOTHING or recorded.rows + recorded.history_events > job.model_calls


async def test_ours_outlives_a_killed_worker(world: World) -> None:
    job = Job(delay_ms=300)
    async with perdure(world) as system:
        before = (await world.calls()).count
        flood = asyncio.create_task(system.run(job, fresh_nonces(2), in_flight=2))
        while (await world.calls()).count - before < 3:
            assert not flood.done()
        await system.crash()
        await system.outlive(flood)
    assert len(flood.result()) == 2
