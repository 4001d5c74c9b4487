"""Executions per second and CPU per execution with 100 in flight, systems taking turns."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.processes import CpuMeter
from bench.scale import Scale, say
from bench.systems.own_process import plain_loop
from bench.systems.peers import others
from bench.systems.perdure import perdure
from bench.systems.system import System, side_by_side
from bench.systems.temporal_peers import handwritten
from bench.world import World

IN_FLIGHT = 100
DELAY_MS = 200
SLOW = {"pydantic-ai", "DBOS", "LangGraph", "LangGraph dev"}
SLOW_ROUNDS = 2
"""Peers that are far off need no close look, and would take most of the time."""


@dataclass(frozen=True, slots=True)
class Round:
    """One flood. CPU seconds are per execution and by role."""

    per_second: float
    cpu: dict[str, float]

    @property
    def total_cpu(self) -> float:
        """All processes but the model, which stands for Anthropic's servers."""
        return sum(seconds for role, seconds in self.cpu.items() if role != "model")


Rounds = dict[str, list[Round]]


async def measure(scale: Scale) -> Section:
    """Floods at 0 and 200 ms."""
    async with (
        World.running() as world,
        side_by_side(world, perdure, handwritten, plain_loop, *others(scale)) as systems,
    ):
        say(f"{IN_FLIGHT} in flight, the model answers at once")
        at_once = await _floods(systems, Job(), scale)
        say(f"{IN_FLIGHT} in flight, the model takes {DELAY_MS} ms")
        delayed = await _floods(systems, Job(delay_ms=DELAY_MS), scale)
        note = await _count_calls(world)
    speed, cpu = _ratios(at_once, "hand-written")
    return Section(
        f"{IN_FLIGHT} executions in flight",
        "CPU is milliseconds per execution of all processes, the client's included and the "
        "scripted model's left out (it stands for Anthropic's servers; its share is shown).",
        [
            _table("The model answers at once", at_once),
            _tabulate_processes(at_once),
            _table(f"The model takes {DELAY_MS} ms", delayed),
        ],
        [
            Bar(
                "executions per second over the hand-written workflow's",
                speed.median,
                1.3,
                side="at least",
                goal=1.8,
            ),
            Bar("CPU per execution over the hand-written workflow's", cpu.median, 0.75, goal=0.55),
        ],
        [note],
    )


async def _floods(systems: Sequence[System], job: Job, scale: Scale) -> Rounds:
    rounds: Rounds = {system.name: [] for system in systems}
    for number in range(scale.rounds):
        for system in systems:
            if system.name in SLOW and number >= SLOW_ROUNDS:
                continue
            done = await _flood(system, job, _size(system, scale))
            rounds[system.name].append(done)
            say(
                f"{system.name}: {format_figure(done.per_second)}/s, "
                f"{format_figure(done.total_cpu * 1000)} ms CPU"
            )
    return rounds


def _size(system: System, scale: Scale) -> int:
    return scale.slow_flood if system.name in SLOW else scale.flood


async def _flood(system: System, job: Job, count: int) -> Round:
    meter = CpuMeter(system.roles)
    began = time.perf_counter()
    await system.run(job, fresh_nonces(count), in_flight=IN_FLIGHT)
    seconds = time.perf_counter() - began
    return Round(count / seconds, {role: cpu / count for role, cpu in meter.read().items()})


async def _count_calls(world: World) -> str:
    """Nobody may have saved time by leaving a call out, or called twice."""
    turns = (await world.calls()).group_by_turn()
    conversations = {conversation for conversation, _ in turns}
    repeated = sum(len(calls) > 1 for calls in turns.values())
    missing = len(conversations) * Job().model_calls - len(turns)
    return (
        f"{len(conversations):,} executions made {len(turns):,} model calls: "
        f"{missing} missing, {repeated} made twice."
    )


def _ratios(rounds: Rounds, peer: str) -> tuple[Spread, Spread]:
    """Ours over the peer's, round by round: executions per second, CPU per execution."""
    theirs = rounds[peer]
    ours = rounds["Perdure"][: len(theirs)]
    return (
        Spread.of_ratios([r.per_second for r in ours], [r.per_second for r in theirs]),
        Spread.of_ratios([r.total_cpu for r in ours], [r.total_cpu for r in theirs]),
    )


def _table(title: str, rounds: Rounds) -> Table:
    rows = []
    for name, done in rounds.items():
        speed, cpu = _ratios(rounds, name)
        rows.append(
            (
                name,
                str(Spread.of(r.per_second for r in done)),
                str(Spread.of(r.total_cpu * 1000 for r in done)),
                str(speed),
                str(cpu),
            )
        )
    columns = ("system", "executions/s", "CPU ms", "Perdure's speed over it", "Perdure's CPU over")
    return Table(title, columns, rows)


def _tabulate_processes(rounds: Rounds) -> Table:
    roles = ["client", "api", "worker", "temporal", "postgres", "restate", "supervisor", "model"]
    rows = []
    for name, done in rounds.items():
        cells = [
            format_figure(Spread.of(r.cpu[role] * 1000 for r in done).median)
            if role in done[0].cpu
            else "-"
            for role in roles
        ]
        rows.append((name, *cells))
    return Table("CPU by process, medians in ms per execution", ("system", *roles), rows)
