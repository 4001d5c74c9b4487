"""How soon `perdure up` and its first execution are done, and what it takes while at rest."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from bench.children import scripted_model, temporary_directory
from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.processes import CpuMeter, memory_bytes
from bench.scale import Scale, say
from bench.systems.perdure import perdure
from bench.world import Up, World, model_environment

STARTS = 3
SETTLED_SECONDS = 5.0
"""After a start, until what runs once has run."""

IDLE_SECONDS = 10.0
EXECUTIONS = 20
"""One after the other, before memory is looked at once more."""

FRESH_STARTS = 10
"""Starts after which the first execution is compared with the second."""

MB = 1_000_000
PARTS = ("supervisor", "postgres", "temporal", "worker", "api")


async def measure(scale: Scale) -> Section:
    """A new home, then the same home again, then rest."""
    del scale
    with temporary_directory() as directory:
        async with scripted_model(directory) as (_, base_url):
            return await _measure(directory, base_url)


async def _measure(directory: Path, base_url: str) -> Section:
    environment = model_environment(base_url)
    say("perdure up on a new home")
    up = await Up.start(directory, environment)
    new = up.ready_seconds
    again = []
    for _ in range(STARTS):
        await up.stop()
        say("perdure up on the same home")
        up = await Up.start(directory, environment)
        again.append(up.ready_seconds)
    await asyncio.sleep(SETTLED_SECONDS)
    pids = up.pids()
    memory = _memory(pids)
    idle = CpuMeter({name: pids[name] for name in PARTS})
    await asyncio.sleep(IDLE_SECONDS)
    cpu = {name: used / IDLE_SECONDS for name, used in idle.read().items()}
    await up.stop()
    worked = await _measure_after_work()
    beyond = Spread.of([await _first_beyond_second() for _ in range(FRESH_STARTS)])
    ready = Spread.of(again)
    all_memory = sum(memory.values())
    figures = [(name, memory[name], worked[name], cpu[name]) for name in PARTS]
    figures.append(("all", all_memory, sum(worked.values()), sum(cpu.values())))
    rows = [
        (name, format_figure(mb), format_figure(after), format_figure(used * 100))
        for name, mb, after, used in figures
    ]
    columns = ("part", "MB (PSS)", f"MB after {EXECUTIONS} executions", "CPU %")
    return Section(
        "Starting and doing nothing",
        f"`perdure up` is ready in {format_figure(new)} s on a new home, in {ready} s on an "
        f"existing one. Its first execution takes {beyond} s longer than its second "
        f"({FRESH_STARTS} starts).",
        [Table("At rest", columns, rows)],
        [
            Bar("ready on an existing home", ready.median, 5, unit="s"),
            Bar("first execution beyond the second", beyond.median, 0.3, unit="s"),
            Bar("memory of all processes at rest", all_memory, 450, unit="MB"),
        ],
    )


async def _measure_after_work() -> dict[str, float]:
    """The same parts at rest again, when the worker has loaded the SDK and caches are filled."""
    say(f"at rest after {EXECUTIONS} executions")
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(EXECUTIONS), in_flight=1)
        await asyncio.sleep(SETTLED_SECONDS)
        return _memory(world.facts["pids"])


async def _first_beyond_second() -> float:
    """Seconds that the first execution after a start takes longer than the second."""
    say("the first execution after a start")
    async with World.running() as world, perdure(world) as ours:
        first, second = await ours.run(Job(), fresh_nonces(2), in_flight=1)
        return first - second


def _memory(pids: Mapping[str, int]) -> dict[str, float]:
    """MB by part; the supervisor's children are parts of their own."""
    memory = {name: memory_bytes(pids[name]) / MB for name in PARTS[1:]}
    memory["supervisor"] = memory_bytes(pids["supervisor"]) / MB - sum(memory.values())
    return memory
