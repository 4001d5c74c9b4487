"""Kill -9 of the worker with executions in flight: what is called again, and how soon all end."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from bench.figures import Bar, Section, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.peers import others
from bench.systems.perdure import perdure
from bench.systems.system import Start, System, side_by_side
from bench.systems.temporal_peers import handwritten
from bench.waiting import eventually
from bench.world import Calls, World

JOB = Job(delay_ms=200)
KILLED_AFTER_CALLS = 1.5
"""Model calls per execution at the kill: most are in their second turn."""

UNDER_WAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Crashed:
    """Seconds, and calls that were made again."""

    name: str
    undisturbed: float
    until_back: float
    until_done: float
    lost: int
    repeats: Counter[str]
    are_identical: bool

    @property
    def beyond(self) -> float:
        """Seconds beyond the work itself once a worker was there."""
        return max(self.until_done - self.undisturbed, 0)


async def measure(scale: Scale) -> Section:
    """Each system in a world of its own: a crash leaves traces."""
    starts: list[Start] = [perdure, handwritten, *others(scale)]
    found = []
    for start in starts:
        async with World.running() as world, side_by_side(world, start) as (system,):
            say(f"kill -9 with {scale.crashed} in flight: {system.name}")
            found.append(await _crash(world, system, scale.crashed))
    rows = [
        (
            one.name,
            format_figure(one.undisturbed),
            format_figure(one.until_back),
            format_figure(one.until_done),
            format_figure(one.beyond),
            str(one.lost),
            str(one.repeats.total()),
            str(max(one.repeats.values(), default=0)),
            "yes" if one.are_identical else "no",
        )
        for one in found
    ]
    columns = (
        "system",
        "undisturbed s",
        "worker back after s",
        "then done after s",
        "beyond the work s",
        "lost",
        "calls repeated",
        "most in one execution",
        "byte-identical",
    )
    ours = found[0]
    return Section(
        f"kill -9 with {scale.crashed} executions in flight",
        "The model takes 200 ms. The worker is killed in the second turn and started again at "
        "once; `beyond the work` is the time from a worker that is there to the last end, less "
        "what the same executions take undisturbed.",
        [Table("After the kill", columns, rows)],
        [
            Bar("model calls repeated in one execution", max(ours.repeats.values(), default=0), 1),
            Bar("repeated calls that differ from the first", int(not ours.are_identical), 0),
            Bar("seconds beyond the work", ours.beyond, 5, unit="s"),
        ],
    )


async def _crash(world: World, system: System, count: int) -> Crashed:
    began = time.perf_counter()
    await system.run(JOB, fresh_nonces(count), in_flight=count)
    undisturbed = time.perf_counter() - began
    before = (await world.calls()).count
    flood = asyncio.create_task(system.run(JOB, fresh_nonces(count), in_flight=count))

    async def are_under_way() -> bool:
        return (await world.calls()).count - before >= KILLED_AFTER_CALLS * count

    await eventually(are_under_way, within=UNDER_WAY_SECONDS, what="the second turn")
    killed = time.perf_counter()
    await system.crash()
    back = time.perf_counter()
    lost = await system.outlive(flood)
    done = time.perf_counter()
    calls = Calls((await world.calls()).requests[before:])
    are_identical = all(
        len({call["sha256"] for call in same_turn}) == 1
        for same_turn in calls.group_by_turn().values()
    )
    return Crashed(
        system.name, undisturbed, back - killed, done - back, lost, calls.repeats(), are_identical
    )
