"""The peers that start executions in the process that runs them: the plain loop and DBOS."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg

from bench.children import ChildError
from bench.job import Job
from bench.systems.system import PeerProcess, Recorded, survival
from bench.waiting import eventually
from bench.world import World

DBOS_DATABASE = "dbos"
ROWS = (
    "SELECT (SELECT count(*) FROM dbos.workflow_status)"
    " + (SELECT count(*) FROM dbos.operation_outputs)"
)
UNFINISHED = "SELECT count(*) FROM dbos.workflow_status WHERE status <> 'SUCCESS'"
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

    async def outlive(self, flood: asyncio.Task[list[float]]) -> None:
        """The caller died with the application; the new one recovers its workflows."""
        with suppress(ChildError):
            await flood

        async def all_done() -> bool:
            return not await self._ask(UNFINISHED)

        await eventually(all_done, within=RECOVERY_SECONDS, what="recovery")

    async def recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution and count what was kept of it."""
        if not self._arguments:
            await self.run(job, [nonce], in_flight=1)
            return Recorded()
        before = await self._ask(ROWS)
        await self.run(job, [nonce], in_flight=1)
        connection = await asyncpg.connect(self._arguments[0])
        try:
            survives = await survival(connection)
        finally:
            await connection.close()
        return Recorded(survives=survives, rows=await self._ask(ROWS) - before)

    async def _ask(self, query: str) -> int:
        connection = await asyncpg.connect(self._arguments[0])
        try:
            found: int = await connection.fetchval(query)
        finally:
            await connection.close()
        return found


@asynccontextmanager
async def plain_loop(world: World) -> AsyncIterator[OwnProcess]:
    """The limit: nothing durable."""
    async with OwnProcess("plain loop", world, "bench.peers.plain_loop", [], []).running() as loop:
        yield loop


@asynccontextmanager
async def dbos(world: World) -> AsyncIterator[OwnProcess]:
    """DBOS in a database of its own on the same Postgres."""
    url: str = world.facts["database_url"]
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {DBOS_DATABASE}")
    await connection.close()
    own = f"{url.rpartition('/')[0]}/{DBOS_DATABASE}"
    system = OwnProcess("DBOS", world, "bench.peers.dbos_app", [own], ["postgres"])
    async with system.running():
        yield system
