"""What the cases ask of every system."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, Self

import asyncpg

from bench.children import Child
from bench.job import Job, fresh_nonces
from bench.processes import Roles
from bench.world import World

PROCESS_DEATH = "kill -9"
"""Of what Temporal holds here: its server writes to SQLite without flushing each commit."""

POWER_LOSS = "power loss"
"""Of what Postgres holds, while its commits wait for the disk."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is on record of one execution after its end.

    Rows in Postgres; events of Temporal's history, or entries of Restate's journal.

    `survives` is the worst that can happen to the machine without a finished step being lost.
    """

    survives: str = "nothing"
    rows: int = 0
    history_events: int = 0
    history_bytes: int = 0


class System(Protocol):
    """One way of running executions."""

    name: str

    @property
    def roles(self) -> Roles:
        """The processes that work for it, by what they do."""

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took."""

    async def count_recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution and count what was kept of it."""

    async def crash(self) -> None:
        """Kill -9 the worker and start it again; returns when the new one is ready."""

    async def outlive(self, flood: asyncio.Task[list[float]]) -> int:
        """After a crash: wait for the ends of the flood's executions; return how many are lost."""


async def survival(connection: asyncpg.Connection) -> str:
    """What records in this Postgres survive, by its own settings."""
    waits = await connection.fetchval("SHOW synchronous_commit") != "off"
    flushes = await connection.fetchval("SHOW fsync") == "on"
    return POWER_LOSS if waits and flushes else PROCESS_DEATH


class PeerProcess:
    """The process in which a peer runs executions."""

    def __init__(
        self,
        name: str,
        world: World,
        module: str,
        arguments: Sequence[str],
        parts: Sequence[str],
        *,
        python: str = sys.executable,
    ) -> None:
        """`parts` are the servers of the world that it uses. Use `running`."""
        self.name = name
        self._world = world
        self._module = module
        self._arguments = arguments
        self._parts = parts
        self._python = python
        self._process: Child | None = None

    @property
    def process(self) -> Child:
        """The process that runs now."""
        assert self._process is not None
        return self._process

    @property
    def roles(self) -> Roles:
        """The process, the servers that it uses, the client and the model."""
        return {"worker": self.process.pid, **self._world.roles(*self._parts)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Start the process and wait until it is ready; stop it at the end."""
        await self._start()
        try:
            yield self
        finally:
            await self.process.stop()

    async def crash(self) -> None:
        """Kill -9 the process and start it again; returns when the new one is ready."""
        await self.process.kill()
        await self._start()

    async def _start(self) -> None:
        self._process = await self._world.peer(self._module, *self._arguments, python=self._python)


Start = Callable[[World], AbstractAsyncContextManager[System]]

WARM_UP = 20
"""Executions that are not counted: imports, pools, statements that are prepared once."""


@asynccontextmanager
async def side_by_side(world: World, *starts: Start) -> AsyncIterator[list[System]]:
    """The systems, started and warm."""
    async with AsyncExitStack() as stack:
        systems = [await stack.enter_async_context(start(world)) for start in starts]
        for system in systems:
            await system.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        yield systems
