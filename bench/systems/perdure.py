"""Ours: the full path, through the gateway over HTTP, with everything recorded."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
from temporalio.client import Client, WorkflowHistory

from bench.children import READY_SECONDS
from bench.flood import flood
from bench.job import Job
from bench.processes import Roles
from bench.systems.system import Recorded, survival
from bench.systems.temporal_peers import history_of
from bench.waiting import eventually
from bench.world import CLIENT_CONNECTIONS, World
from contracts import names

LONGEST_WAIT_SECONDS = 60
KEEP_ALIVE_SECONDS = 2
"""Below the gateway's: a connection it is about to close must not be taken up again."""
ROWS = """
SELECT (SELECT count(*) FROM executions) + (SELECT count(*) FROM sessions)
     + (SELECT count(*) FROM messages) + (SELECT count(*) FROM model_calls)
     + (SELECT count(*) FROM tool_calls) + (SELECT count(*) FROM execution_events)
     + (SELECT count(*) FROM audit_log) + (SELECT count(*) FROM signals)
"""
MAX_TURNS = 10_000
TERMINAL = {"completed", "failed", "cancelled"}


class NotCompletedError(Exception):
    """An execution of the bench did not end as it must."""


class Perdure:
    """The stack of `perdure up`, its API's client in this process."""

    name = "Perdure"

    def __init__(
        self, world: World, http: httpx2.AsyncClient, rows: asyncpg.Connection, temporal: Client
    ) -> None:
        """Use `perdure`."""
        self.http = http
        self.rows = rows
        self._temporal = temporal
        self._world = world
        self._tasks: dict[Job, str] = {}

    @property
    def roles(self) -> Roles:
        """Client, gateway, worker, both servers, the supervisor and the model."""
        return self._world.roles("api", "worker", "temporal", "postgres", "supervisor")

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took.

        Returns when the workflows are closed too, which happens after the end is on record. They
        are counted: reading the results of a hundred workflows would take CPU that no client needs.
        """
        task = await self.task(job)
        open_before = await self._count_open()

        async def one(nonce: str) -> None:
            execution = await self.execute(task, nonce, wait=LONGEST_WAIT_SECONDS)
            await self.wait_until_completed(execution)

        async def are_closed() -> bool:
            return await self._count_open() <= open_before

        seconds = await flood(one, nonces, in_flight=in_flight)
        await eventually(are_closed, within=READY_SECONDS, what="the end of all workflows")
        return seconds

    async def _count_open(self) -> int:
        """The workflows that Temporal lists as running."""
        return (await self._temporal.count_workflows("ExecutionStatus = 'Running'")).count

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

    async def cancel(self, execution: dict[str, Any]) -> None:
        """Ask for its end through the gateway."""
        (await self.http.post(execution["_links"]["cancel"], json={})).raise_for_status()

    async def wait_until_completed(self, execution: dict[str, Any]) -> None:
        """Return when it has ended well. On a busy machine the one wait may be too short."""
        path = execution["_links"]["self"]
        while execution["status"] not in TERMINAL:
            await asyncio.sleep(1)
            execution = (await self.http.get(path)).raise_for_status().json()
        if execution["status"] != "completed":
            raise NotCompletedError(f"{execution['status']}: {execution['error_message']}")

    async def open_requests(self) -> list[str]:
        """Ids of what people are asked, oldest first; from the database, as `count`."""
        found = await self.rows.fetch(
            "SELECT id FROM input_requests WHERE status = 'open' ORDER BY id"
        )
        return [str(row["id"]) for row in found]

    async def answer(self, request: str) -> None:
        """Answer a question through the gateway."""
        path = f"/api/v1/input-requests/{request}/answer"
        (await self.http.post(path, json={"message": "left"})).raise_for_status()

    async def model_calls_since(self, moment: float) -> list[float]:
        """When the calls since a time of the machine's monotonic clock reached the model."""
        calls = await self._world.calls()
        arrived: list[float] = sorted(request["arrived_at"] for request in calls.requests)
        return [at for at in arrived if at >= moment]

    async def count(self, status: str) -> int:
        """Executions in a status; from the database, so that asking costs the gateway nothing."""
        found: int = await self.rows.fetchval(
            "SELECT count(*) FROM executions WHERE status = $1", status
        )
        return found

    async def history(self, workflow_id: str) -> WorkflowHistory:
        """The history of an execution's workflow."""
        return await self._temporal.get_workflow_handle(workflow_id).fetch_history()

    async def waiting_workflows(self) -> list[str]:
        """The workflows of executions that wait for a person, oldest first."""
        found = await self.rows.fetch(
            "SELECT workflow_id FROM executions WHERE status = 'waiting_for_user' ORDER BY id"
        )
        return [row["workflow_id"] for row in found]

    async def query_progress(self, workflow_id: str) -> None:
        """Query a workflow in its worker, as Temporal's UI can do."""
        await self._temporal.get_workflow_handle(workflow_id).query(names.PROGRESS)

    async def crash(self) -> None:
        """Kill -9 the worker; its supervisor starts it again."""
        await self.end_worker(signal.SIGKILL)

    async def end_worker(self, number: signal.Signals) -> None:
        """End the worker with a signal; returns when its supervisor has another one."""
        ended = self._world.facts["pids"]["worker"]
        os.kill(ended, number)

        async def is_back() -> bool:
            return self._world.facts["pids"]["worker"] not in {ended, None}

        await eventually(is_back, within=READY_SECONDS, what="the worker")

    async def outlive(self, flood: asyncio.Task[list[float]]) -> int:
        """The gateway's clients wait on."""
        await flood
        return 0

    async def count_recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution and count what was kept of it."""
        before = await self._count_rows()
        execution = await self.execute(await self.task(job), nonce, wait=LONGEST_WAIT_SECONDS)
        await self._temporal.get_workflow_handle(execution["workflow_id"]).result()
        history = await history_of(self._temporal, execution["workflow_id"])
        return Recorded(
            survives=await survival(self.rows),
            rows=await self._count_rows() - before,
            history_events=history.history_events,
            history_bytes=history.history_bytes,
        )

    async def _count_rows(self) -> int:
        found: int = await self.rows.fetchval(ROWS)
        return found


@asynccontextmanager
async def perdure(world: World) -> AsyncIterator[Perdure]:
    """Ours, on the stack that runs already."""
    facts = world.facts
    rows = await asyncpg.connect(facts["database_url"])
    temporal = await Client.connect(facts["temporal_address"])
    async with httpx2.AsyncClient(
        base_url=facts["api_url"],
        headers={"Authorization": f"Bearer {facts['token']}"},
        timeout=2 * LONGEST_WAIT_SECONDS,
        limits=httpx2.Limits(
            max_connections=CLIENT_CONNECTIONS, keepalive_expiry=KEEP_ALIVE_SECONDS
        ),
    ) as http:
        yield Perdure(world, http, rows, temporal)
    await rows.close()
