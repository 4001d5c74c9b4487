"""Cancels: how soon the model's connection is closed, and a command's processes are gone."""

import asyncio
import os
import time
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from bench.figures import Bar, Section, Spread, Table
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import WARM_UP
from bench.waiting import eventually
from bench.world import World

ALONE = 10
BESIDE = 50
"""In flight while others are cancelled one after the other; then cancelled all at once (chosen)."""

LIMIT_SECONDS = 1.0
AN_HOUR_MS = 3_600_000
POLL_SECONDS = 0.005
"""Between looks at process groups: what is timed takes ten times as long and more."""

UNDER_WAY_SECONDS = 120.0
ENDED_SECONDS = 60.0

GROUPS = """
SELECT execution_id, process_group FROM tool_calls
WHERE status = 'started' AND process_group IS NOT NULL AND execution_id = ANY($1::uuid[])
"""

Executions = Sequence[dict[str, Any]]


class Work(Protocol):
    """The work that executions do when they are cancelled."""

    name: str
    job: Job

    async def are_under_way(self, executions: Executions) -> bool:
        """Whether all of these executions, and all earlier ones, do this work."""

    async def watch(self, executions: Executions) -> Awaitable[Sequence[float]]:
        """Find the current work of these executions. Then await the times at which it ends.

        They are of the machine's monotonic clock.
        """


class Thinking:
    """A model call that takes an hour."""

    name = "the model's connection closed"
    job = Job(delay_ms=AN_HOUR_MS)

    def __init__(self, world: World) -> None:
        """Calls of this world's model."""
        self._world = world

    async def are_under_way(self, executions: Executions) -> bool:
        """Whether the model has their calls."""
        return len((await self._world.calls()).having("open")) == len(executions)

    async def watch(self, executions: Executions) -> Awaitable[Sequence[float]]:
        """When the model sees the connections close; whose is whose does not matter."""
        before = len((await self._world.calls()).having("disconnected"))

        async def read_ends() -> Sequence[float]:
            calls = (await self._world.calls()).having("disconnected")
            ends = sorted(call["ended_at"] for call in calls)[before:]
            return ends if len(ends) == len(executions) else []

        return eventually(read_ends, within=ENDED_SECONDS, what="the end of calls")


class Running:
    """A command of two processes that take ten minutes."""

    name = "the command's processes gone"
    job = Job(tool_turns=1, runs="sleep 600 & sleep 600")

    def __init__(self, ours: Perdure) -> None:
        """Commands that are on record here."""
        self._ours = ours

    async def are_under_way(self, executions: Executions) -> bool:
        """Whether their commands are on record as begun."""
        return len(await self._groups(executions)) == len(executions)

    async def watch(self, executions: Executions) -> Awaitable[Sequence[float]]:
        """When their process groups are gone."""
        groups = await self._groups(executions)
        return asyncio.gather(*map(_wait_until_gone, groups))

    async def _groups(self, executions: Executions) -> Sequence[int]:
        ids = [execution["id"] for execution in executions]
        return [row["process_group"] for row in await self._ours.rows.fetch(GROUPS, ids)]


async def _wait_until_gone(group: int) -> float:
    """When nothing of a process group was left."""
    async with asyncio.timeout(ENDED_SECONDS):
        while True:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return time.monotonic()
            await asyncio.sleep(POLL_SECONDS)


async def measure(scale: Scale) -> Section:
    """Cancels alone, beside others, and all at once; of model calls, then of commands."""
    del scale
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        works: Sequence[Work] = (Thinking(world), Running(ours))
        found = {work.name: await _cancels(ours, work) for work in works}
    rows = [
        (name, *(str(Spread.of(seconds)) for seconds in all_of)) for name, all_of in found.items()
    ]
    columns = ("what", "alone", f"one of more than {BESIDE}", f"{BESIDE} at once")
    return Section(
        "Cancelling",
        "Seconds from the request to the gateway to the end of the current work, as the model sees "
        f"it and as the system does. {BESIDE} at once are counted from the first request.",
        [Table("From the request to the end", columns, rows)],
        [
            Bar(f"cancel: {name}, the slowest", max(*alone, *beside), LIMIT_SECONDS, unit="s")
            for name, (alone, beside, _) in found.items()
        ],
    )


async def _cancels(ours: Perdure, work: Work) -> tuple[Sequence[float], ...]:
    """The seconds of cancels alone, of one after the other beside others, and of all at once."""
    say(f"cancelling: {work.name}")
    alone: list[float] = []
    for _ in range(ALONE):
        alone += await _cancel(ours, work, await _begin(ours, work, 1))
    many = await _begin(ours, work, BESIDE + ALONE)
    beside: list[float] = []
    for execution in many[BESIDE:]:
        beside += await _cancel(ours, work, [execution])
    at_once = await _cancel(ours, work, many[:BESIDE])

    async def all_ended() -> bool:
        return not await ours.count("running")

    await eventually(all_ended, within=ENDED_SECONDS, what="all ends")
    return alone, beside, at_once


async def _begin(ours: Perdure, work: Work, count: int) -> Executions:
    """Executions that do this work."""
    task = await ours.task(work.job)
    executions = [await ours.execute(task, nonce) for nonce in fresh_nonces(count)]
    await eventually(
        lambda: work.are_under_way(executions), within=UNDER_WAY_SECONDS, what=work.name
    )
    return executions


async def _cancel(ours: Perdure, work: Work, executions: Executions) -> Sequence[float]:
    """Cancel these; the seconds from the first request to each end."""
    ends = await work.watch(executions)
    began = time.monotonic()
    await asyncio.gather(*(ours.cancel(execution) for execution in executions))
    return [end - began for end in await ends]
