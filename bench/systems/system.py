"""What the cases ask of every system."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bench.job import Job
from bench.processes import Roles
from bench.world import World

CLIENT_SIDE = ("client",)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is on record of one execution when it has ended."""

    rows: int = 0
    history_events: int = 0
    history_bytes: int = 0


class System(Protocol):
    """One way of running executions."""

    name: str

    @property
    def roles(self) -> Roles:
        """The processes that work for it, by what they do."""
        ...

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took."""
        ...

    async def recorded(self, job: Job) -> Recorded:
        """Run one execution and count what was kept of it."""
        ...


Start = Callable[[World], AbstractAsyncContextManager[System]]
Running = AsyncIterator[System]
