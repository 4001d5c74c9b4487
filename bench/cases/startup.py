"""How soon `perdure up` is ready, and what it takes while nothing happens."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from bench.children import READY_SECONDS, Child
from bench.figures import Bar, Section, Spread, Table, told
from bench.processes import CpuMeter, memory_bytes
from bench.say import say
from bench.scale import Scale
from bench.world import Up, model_environment

STARTS = 3
SETTLED_SECONDS = 5.0
"""After a start, until what runs once has run."""

IDLE_SECONDS = 10.0
MB = 1_000_000
PARTS = ("supervisor", "postgres", "temporal", "worker", "api")


async def measure(scale: Scale) -> Section:
    """A new home, then the same home again, then rest."""
    del scale
    directory = Path(tempfile.mkdtemp(prefix="perdure-bench-"))
    model = await Child.start(
        "claude.scripted", environment={}, log=directory / "model.log", cwd=directory
    )
    try:
        base_url = (await model.read(within=READY_SECONDS))["base_url"]
        return await _measure(directory, base_url)
    finally:
        await model.stop()
        shutil.rmtree(directory, ignore_errors=True)


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
    memory = {name: memory_bytes(pids[name]) / MB for name in PARTS[1:]}
    memory["supervisor"] = memory_bytes(pids["supervisor"]) / MB - sum(memory.values())
    idle = CpuMeter({name: pids[name] for name in PARTS})
    await asyncio.sleep(IDLE_SECONDS)
    cpu = {name: used / IDLE_SECONDS for name, used in idle.read().items()}
    await up.stop()
    ready = Spread.of(again)
    rows = [(name, told(memory[name]), told(cpu[name] * 100)) for name in PARTS]
    rows.append(("all", told(sum(memory.values())), told(sum(cpu.values()) * 100)))
    return Section(
        "Starting and doing nothing",
        f"`perdure up` is ready in {told(new)} s on a new home, in {ready} s on an existing one.",
        [Table("At rest", ("part", "MB (PSS)", "CPU %"), rows)],
        [
            Bar("ready on an existing home", ready.median, 5, unit="s"),
            Bar("memory of all processes at rest", sum(memory.values()), 450, unit="MB"),
        ],
    )
