"""Lists are narrowed by the time of creation, also those that are no plain lists of rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from agent_library.built_in import load_built_in_agents
from domain.ids import new_id
from tests.api.test_queue import claim, enqueue, make_agent, report
from tests.api.world import World

API = "/api/v1"
DAY = timedelta(days=1)


async def count(client: httpx2.AsyncClient, path: str, **query: Any) -> int:
    response = await client.get(f"{API}{path}", params=query)
    assert response.status_code == 200, response.text
    total: int = response.json()["total"]
    return total


async def test_agents_entries_and_artifacts_are_listed_by_time(world: World) -> None:
    built_in = len(load_built_in_agents())
    now = datetime.now(UTC)
    yesterday, tomorrow = (now - DAY).isoformat(), (now + DAY).isoformat()
    async with world.client(f"user-{new_id()}") as client:
        agent_id = await make_agent(client)
        entry = {"value": "moon", "memory_type": "semantic"}
        stored = await client.put(f"{API}/memory/notes:one/rhyme", json=entry)
        assert stored.status_code == 201, stored.text
        work = await enqueue(client, agent_id=agent_id)
        done = await report(client, await claim(client, work), detailed_work="June.")
        assert done.status_code == 200, done.text
        lists: list[tuple[str, dict[str, Any]]] = [
            ("/agents", {"is_builtin": False}),
            ("/memory", {}),
            ("/memory", {"q": "moon"}),
            (f"/task-executions/{work['id']}/artifacts", {}),
        ]
        for path, query in lists:
            assert await count(client, path, **query, created_from=yesterday) == 1
            assert await count(client, path, **query, created_from=tomorrow) == 0
            assert await count(client, path, **query, created_to=tomorrow) == 1
            assert await count(client, path, **query, created_to=yesterday) == 0
        # Built-in agents are older than all others.
        assert await count(client, "/agents") == built_in + 1
        assert await count(client, "/agents", created_from=yesterday) == 1
        assert await count(client, "/agents", created_to=yesterday) == built_in
