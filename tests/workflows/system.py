"""A worker with a gateway, for tests that start with a request and end in the engine."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2

from tests.engine.driver import Engine, Run


@dataclass(frozen=True, slots=True)
class System:
    """A worker with a gateway."""

    engine: Engine
    client: httpx2.AsyncClient

    async def fork(self, run: Run, **body: Any) -> Run:
        response = await self.client.post(f"/api/v1/task-executions/{run.id}/fork", json=body)
        assert response.status_code == 202, response.text
        fork = response.json()
        assert (fork["forked_from_id"], fork["trigger_type"]) == (str(run.id), "fork")
        return self.engine.run(UUID(fork["id"]))

    async def refusal(self, run: Run, **body: Any) -> tuple[int, str]:
        """Return the status, and the field or the error code."""
        response = await self.client.post(f"/api/v1/task-executions/{run.id}/fork", json=body)
        found = response.json()
        field = found["errors"][0]["loc"][-1] if "errors" in found else found["code"]
        return response.status_code, field

    async def session_texts(self, run: Run) -> list[str]:
        """Return the role and the block types of each message of the session."""
        session_id = (await run.row()).session_id
        response = await self.client.get(f"/api/v1/sessions/{session_id}/messages")
        assert response.status_code == 200, response.text
        return [
            f"{m['role']}: {' '.join(b['type'] for b in m['content'])}"
            for m in response.json()["items"]
        ]
