"""The peers that start executions in the process that runs them: a loop, DBOS, LangGraph."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg

from bench.children import ChildError
from bench.job import Job
from bench.packages import peers_python
from bench.systems.system import PeerProcess, Recorded, survival
from bench.waiting import eventually
from bench.world import World

DBOS_ROWS = (
    "SELECT (SELECT count(*) FROM dbos.workflow_status)"
    " + (SELECT count(*) FROM dbos.operation_outputs)"
)
DBOS_UNFINISHED = "SELECT count(*) FROM dbos.workflow_status WHERE status <> 'SUCCESS'"
LANGGRAPH_ROWS = (
    "SELECT (SELECT count(*) FROM checkpoints) + (SELECT count(*) FROM checkpoint_writes)"
    " + (SELECT count(*) FROM checkpoint_blobs)"
)
RECOVERY_SECONDS = 300.0
"""Longer than any system here takes (hand-written: 64 s)."""


class OwnProcess(PeerProcess):
    """An application that is asked for a flood and runs it: client and worker in one."""

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took."""
        prompts = [job.prompt(nonce) for nonce in nonces]
        answer = await self.process.ask({"prompts": prompts, "in_flight": in_flight})
        seconds: list[float] = answer["seconds"]
        return seconds

    async def outlive(self, flood: asyncio.Task[list[float]]) -> int:
        """The caller ended with the application; the new one continues its executions, if any."""
        with suppress(ChildError):
            await flood
        await self.process.ask({"prompts": [], "in_flight": 1})
        return 0

    async def count_recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution; nothing is on record."""
        await self.run(job, [nonce], in_flight=1)
        return Recorded()


class OnPostgres(OwnProcess):
    """One that keeps its executions in a database of its own on the same Postgres."""

    def __init__(
        self,
        name: str,
        world: World,
        module: str,
        database_url: str,
        *,
        rows: str,
        python: str = sys.executable,
    ) -> None:
        """`rows` is the query that counts what is on record. Use `dbos` or `langgraph`."""
        super().__init__(name, world, module, [database_url], ["postgres"], python=python)
        self._database_url = database_url
        self._rows = rows

    async def count_recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution and count what was kept of it."""
        before = await self.ask(self._rows)
        await self.run(job, [nonce], in_flight=1)
        connection = await asyncpg.connect(self._database_url)
        try:
            survives = await survival(connection)
        finally:
            await connection.close()
        return Recorded(survives=survives, rows=await self.ask(self._rows) - before)

    async def ask(self, query: str) -> int:
        """The number that a query returns."""
        connection = await asyncpg.connect(self._database_url)
        try:
            found: int = await connection.fetchval(query)
        finally:
            await connection.close()
        return found


class Dbos(OnPostgres):
    """DBOS, which recovers its workflows in the background."""

    async def outlive(self, flood: asyncio.Task[list[float]]) -> int:
        """The caller ended with the application; the new one recovers its workflows."""
        await super().outlive(flood)

        async def all_done() -> bool:
            return not await self.ask(DBOS_UNFINISHED)

        await eventually(all_done, within=RECOVERY_SECONDS, what="recovery")
        return 0


@asynccontextmanager
async def plain_loop(world: World) -> AsyncIterator[OwnProcess]:
    """The limit: nothing durable."""
    async with OwnProcess("plain loop", world, "bench.peers.plain_loop", [], []).running() as loop:
        yield loop


@asynccontextmanager
async def dbos(world: World) -> AsyncIterator[OwnProcess]:
    """DBOS with its default settings."""
    url = await _new_database(world, "dbos")
    system = Dbos("DBOS", world, "bench.peers.dbos_app", url, rows=DBOS_ROWS)
    async with system.running():
        yield system


@asynccontextmanager
async def langgraph(world: World) -> AsyncIterator[OwnProcess]:
    """LangGraph with its checkpointer for Postgres."""
    url = await _new_database(world, "langgraph")
    system = OnPostgres(
        "LangGraph",
        world,
        "bench.peers.langgraph_app",
        url,
        rows=LANGGRAPH_ROWS,
        python=peers_python(),
    )
    async with system.running():
        yield system


async def _new_database(world: World, name: str) -> str:
    url: str = world.facts["database_url"]
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{url.rpartition('/')[0]}/{name}"
