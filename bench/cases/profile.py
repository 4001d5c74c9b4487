"""CPU of an execution and of a resume: by process, by phase, and as flame graphs."""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.cases.waiting import await_rest, resume_ours, start_ours
from bench.figures import Section, Table, format_figure
from bench.flame_graph import Stacks, render
from bench.job import Job, fresh_nonces
from bench.phases import BY_ROLE, EVENT_LOOP, SQLALCHEMY, count_by_phase
from bench.processes import CpuMeter, native_cpu_seconds
from bench.sampling import sample_stacks
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import WARM_UP
from bench.world import World
from contracts import policies

IN_FLIGHT = 100
RESUMED = 2 * policies.CACHED_WORKFLOWS
"""Half of these executions are not in the worker's cache when they resume."""

ROLES = ("client", "api", "worker", "temporal", "postgres", "supervisor")
NAMES = {"worker": "worker", "api": "gateway"}
NATIVE = "Temporal's core and other threads without Python"
ONE_CALL, EXECUTION, RESUME = "one model call", "an execution", "a resume"


@dataclass(frozen=True, slots=True)
class Load:
    """CPU milliseconds of each execution by role, and the samples of the profiled processes.

    `native` is the part of `cpu` in threads without Python.
    """

    cpu: Mapping[str, float]
    native: Mapping[str, float]
    stacks: Mapping[str, Stacks]

    def sum_by_phase(self, role: str) -> dict[str, float]:
        """Milliseconds by phase: the CPU of Python's threads, in the ratio of their samples."""
        samples = count_by_phase(self.stacks[role], BY_ROLE[role])
        each = (self.cpu[role] - self.native[role]) / max(samples.total(), 1)
        names = [*BY_ROLE[role], SQLALCHEMY, EVENT_LOOP]
        return {name: samples[name] * each for name in names} | {NATIVE: self.native[role]}


async def measure(scale: Scale) -> Section:
    """Profile executions with a single model call, those of the other cases, and resumes."""
    count = scale.rounds * scale.flood
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        loads = {}
        for name, job in ((ONE_CALL, Job(tool_turns=0)), (EXECUTION, Job())):
            say(f"{count} executions with {job.model_calls} model calls")
            run = ours.run(job, fresh_nonces(count), in_flight=IN_FLIGHT)
            loads[name] = await _profile(world, ours, count, run)
        say(f"{RESUMED} waiting")
        asked = await start_ours(ours, RESUMED)
        await await_rest(ours.roles["worker"])
        say(f"resuming {RESUMED}")
        loads[RESUME] = await _profile(world, ours, RESUMED, resume_ours(ours, asked))
    graphs = {
        f"{NAMES[role]}: {name}": render(loads[name].stacks[role], f"{NAMES[role]}: {name}")
        for name in (EXECUTION, RESUME)
        for role in NAMES
    }
    return Section(
        "CPU by phase",
        f"Milliseconds of CPU per execution, {IN_FLIGHT} in flight, and per resume: {RESUMED} "
        "wait, and all are answered at once. py-spy samples the worker and the gateway meanwhile. "
        "The CPU of their Python threads is divided into phases in the ratio of the samples; a "
        "sample counts for the innermost function that belongs to a phase.",
        [_tabulate_processes(loads), *(_tabulate_phases(loads, role) for role in NAMES)],
        drawings=graphs,
    )


async def _profile(world: World, ours: Perdure, count: int, work: Awaitable[object]) -> Load:
    """Sample the worker and the gateway during some work for `count` executions."""
    pids = {role: ours.roles[role] for role in NAMES}
    async with AsyncExitStack() as stack:
        stacks = {
            role: await stack.enter_async_context(sample_stacks(pid, world.directory))
            for role, pid in pids.items()
        }
        meter = CpuMeter(ours.roles)
        native = {role: native_cpu_seconds(pid) for role, pid in pids.items()}
        await work
        used = meter.read()
        native = {role: native_cpu_seconds(pid) - native[role] for role, pid in pids.items()}
    return Load(
        {role: seconds / count * 1000 for role, seconds in used.items()},
        {role: seconds / count * 1000 for role, seconds in native.items()},
        stacks,
    )


def _tabulate_processes(loads: Mapping[str, Load]) -> Table:
    one_call, execution = loads[ONE_CALL].cpu, loads[EXECUTION].cpu
    turns = Job().tool_turns
    turn = {role: (execution[role] - one_call[role]) / turns for role in ROLES}
    rows = [
        ("begin, first model call, end", one_call),
        (f"each of the {turns} tools with the model call after it", turn),
        ("an execution", execution),
        ("a resume: answer, model call, end", loads[RESUME].cpu),
    ]
    return Table(
        "By process",
        ("what", *ROLES, "all"),
        [
            (
                name,
                *(format_figure(cpu[role]) for role in ROLES),
                format_figure(sum(cpu[role] for role in ROLES)),
            )
            for name, cpu in rows
        ],
    )


def _tabulate_phases(loads: Mapping[str, Load], role: str) -> Table:
    by_load: Sequence[Mapping[str, float]] = [load.sum_by_phase(role) for load in loads.values()]
    rows = [(phase, *(format_figure(load[phase]) for load in by_load)) for phase in by_load[0]]
    samples = (f"{load.stacks[role].total():,}" for load in loads.values())
    return Table(f"The {NAMES[role]}", ("phase", *loads), [*rows, ("samples", *samples)])
