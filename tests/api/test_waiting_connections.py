"""Requests that wait keep no connection to the database."""

import asyncio
from pathlib import Path

from tests.api.test_artifact_stores import gateway
from tests.api.test_queue import enqueue
from tests.waiting import eventually

WAITING = ("perdure_queue_waits", "perdure_waits", "perdure_event_streams")


async def test_claims_waits_and_streams_leave_the_only_connection_to_others(
    database_url: str, temporal_address: str, tmp_path: Path
) -> None:
    one = gateway(database_url, temporal_address, tmp_path, None, database_pool_size=1)
    async with one as world, world.client("alice") as client:
        execution = await enqueue(client, agent_id="tester")

        async def are_all_waiting() -> bool:
            lines = (await client.get("/metrics")).text.splitlines()
            return all(f"{name} 1.0" in lines for name in WAITING)

        async def follow() -> None:
            accept = {"Accept": "text/event-stream"}
            events = execution["_links"]["events"]
            async with client.stream("GET", events, headers=accept) as response:
                async for _ in response.aiter_bytes():
                    pass

        prompt = {"prompt": "x", "executor": "external", "agent_id": "tester"}
        waits = [
            asyncio.create_task(follow()),
            asyncio.create_task(client.post("/api/v1/task-executions?wait=60", json=prompt)),
            asyncio.create_task(
                client.post("/api/v1/queue/claim?wait=60", json={"agent_id": "reviewer"})
            ),
        ]
        await eventually(are_all_waiting, what="a claim, a wait and a stream")
        for _ in range(5):
            assert (await client.get("/api/v1/tasks")).status_code == 200
        for wait in waits:
            assert not wait.done()
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
