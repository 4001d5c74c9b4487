"""Ours: the full path, through the gateway over HTTP, with everything recorded."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
from temporalio.client import Client

from bench.flood import flood
from bench.job import Job
from bench.processes import Roles
from bench.systems.system import Recorded
from bench.systems.temporal_peers import history_of
from bench.world import CLIENT_CONNECTIONS, World

LONGEST_WAIT_SECONDS = 60
TABLES = (
    "executions",
    "sessions",
    "messages",
    "model_calls",
    "tool_calls",
    "execution_events",
    "audit_log",
    "outbox",
)
MAX_TURNS = 10_000


class NotCompletedError(Exception):
    """An execution of the bench did not end as it must."""


class Perdure:
    """The stack of `perdure up`, its API's client in this process."""

    name = "Perdure"

    def __init__(self, world: World, http: httpx2.AsyncClient, rows: asyncpg.Connection) -> None:
        """Use `perdure`."""
        self.http = http
        self.rows = rows
        self._world = world
        self._tasks: dict[Job, str] = {}

    @property
    def roles(self) -> Roles:
        """Client, gateway, worker, both servers, the supervisor and the model."""
        return self._world.roles("api", "worker", "temporal", "postgres", "supervisor")

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took."""
        task = await self.task(job)

        async def one(nonce: str) -> None:
            execution = await self.execute(task, nonce, wait=LONGEST_WAIT_SECONDS)
            if execution["status"] != "completed":
                raise NotCompletedError(f"{execution['status']}: {execution['error_message']}")

        return await flood(one, nonces, in_flight=in_flight)

    async def task(self, job: Job) -> str:
        """The id of the task for a job; made once."""
        if job not in self._tasks:
            definition = {
                "name": str(job),
                "prompt_template": job.prompt("{{ nonce }}"),
                "allowed_tools": [job.tool],
                "sdk_options": {"max_turns": MAX_TURNS},
            }
            response = await self.http.post("/api/v1/tasks", json=definition)
            response.raise_for_status()
            self._tasks[job] = response.json()["id"]
        return self._tasks[job]

    async def execute(self, task: str, nonce: str, *, wait: int = 0) -> dict[str, Any]:
        """Execute a task; with `wait` the answer comes when it has ended or asks."""
        response = await self.http.post(
            f"/api/v1/tasks/{task}/execute",
            params={"wait": wait} if wait else {},
            json={"variables": {"nonce": nonce}},
        )
        response.raise_for_status()
        execution: dict[str, Any] = response.json()
        return execution

    async def count(self, status: str) -> int:
        """Executions in a status; asked of the database, so that asking costs the gateway nothing."""
        found: int = await self.rows.fetchval(
            "SELECT count(*) FROM executions WHERE status = $1", status
        )
        return found

    async def recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution and count what was kept of it."""
        before = await self._count_rows()
        execution = await self.execute(await self.task(job), nonce, wait=LONGEST_WAIT_SECONDS)
        client = await Client.connect(self._world.facts["temporal_address"])
        history = await history_of(client, execution["workflow_id"])
        return Recorded(
            rows=await self._count_rows() - before,
            history_events=history.history_events,
            history_bytes=history.history_bytes,
        )

    async def _count_rows(self) -> int:
        counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in TABLES)
        found: int = await self.rows.fetchval(f"SELECT {counts}")
        return found


@asynccontextmanager
async def perdure(world: World) -> AsyncIterator[Perdure]:
    """Ours, on the stack that runs already."""
    facts = world.facts
    rows = await asyncpg.connect(facts["database_url"])
    async with httpx2.AsyncClient(
        base_url=facts["api_url"],
        headers={"Authorization": f"Bearer {facts['token']}"},
        timeout=2 * LONGEST_WAIT_SECONDS,
        limits=httpx2.Limits(max_connections=CLIENT_CONNECTIONS),
    ) as http:
        yield Perdure(world, http, rows)
    await rows.close()
