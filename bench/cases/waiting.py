"""Executions that wait for a person: what they hold in memory, and how soon all of them resume."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.flood import flood
from bench.job import Job, fresh_nonces
from bench.processes import CpuMeter, memory_bytes
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import System, side_by_side
from bench.systems.temporal_peers import TemporalPeer, handwritten
from bench.waiting import eventually
from bench.world import World
from contracts import policies

ASKS = Job(tool_turns=1, asks=True)
AT_A_TIME = 50
"""Requests the driver has open: people answer one by one, but not one after another."""

PARKED_SECONDS = 600.0
QUIET_CPU = 0.05
"""CPU seconds in one second below which a worker is at rest."""

IDLE_SECONDS = 10.0
ALONE = 40
"""Answers one at a time: the 95th percentile is the third slowest (chosen)."""

REPLAYS = 40
REPLAY_ROUNDS = 5

MB = 1_000_000
ROLES = ("client", "api", "worker", "temporal", "postgres", "supervisor", "model")


@dataclass(frozen=True, slots=True)
class Waited:
    """Of the worker while all wait, and while they resume."""

    name: str
    bytes_each: float
    idle_cpu: float
    resume_seconds: float
    resume_cpu: dict[str, float]
    """CPU seconds by role."""

    def cpu_ms_each(self, count: int) -> float:
        """CPU of all processes but the model's to resume one of `count`."""
        seconds = sum(used for role, used in self.resume_cpu.items() if role != "model")
        return seconds / count * 1000


async def measure(scale: Scale) -> Section:
    """Both systems in the same world, one after the other."""
    count = scale.waiting
    assert count > policies.CACHED_WORKFLOWS, "the oldest executions must be evicted"
    async with (
        World.running() as world,
        side_by_side(world, perdure, handwritten) as (ours, theirs),
    ):
        assert isinstance(ours, Perdure)
        assert isinstance(theirs, TemporalPeer)
        before = memory_bytes(ours.roles["worker"])
        found = [
            await _wait_and_resume(ours, count, lambda: start_ours(ours, count), resume_ours),
            await _wait_and_resume(theirs, count, lambda: _start(theirs, count), _resume),
        ]
        say(f"{scale.parked} waiting: {ours.name}")
        asked = await start_ours(ours, scale.parked)
        await await_rest(ours.roles["worker"])
        parked_bytes = memory_bytes(ours.roles["worker"]) - before
        say(f"{ALONE} answers, one at a time")
        seconds = await _answer_alone(ours, asked[:ALONE])
        assert scale.parked - ALONE - policies.CACHED_WORKFLOWS >= REPLAYS * REPLAY_ROUNDS
        replays = await _replay(ours)
    own, other = found
    slowest = statistics.quantiles(seconds, n=20)[-1]
    return Section(
        "Executions that wait for a person",
        _describe(count, scale.parked),
        [
            _summary(found, count),
            _tabulate_processes(found, count),
            Table(
                "From an answer to the next model call, ms",
                ("answers", "each"),
                [(str(ALONE), str(Spread.of(seconds).times(1000)))],
            ),
            Table(
                "CPU of a replay in the worker, ms",
                ("rounds", "replays in each", "each"),
                [(str(REPLAY_ROUNDS), str(REPLAYS), str(replays))],
            ),
        ],
        [
            *_bars(own, other, count),
            Bar("answer to the next model call, evicted, p95", slowest * 1000, 300, unit="ms"),
            Bar("CPU to replay an evicted execution", replays.median, 5, unit="ms"),
            Bar(f"worker memory, {scale.parked:,} waiting", parked_bytes / MB, 40, unit="MB"),
        ],
    )


def _describe(count: int, parked: int) -> str:
    return (
        f"{count:,} executions wait. Memory is the worker's growth (PSS). Resuming is from the "
        "first answer to the last end; its CPU is that of all processes but the model's. Then "
        f"{parked:,} wait, and the oldest are answered one at a time: their workflows are no "
        "longer in the worker's cache, so they replay. A query also makes the worker replay an "
        "execution that is not in its cache: the CPU of a replay is what the worker needs for such "
        "a query more than for a query of a cached execution."
    )


def _summary(found: Sequence[Waited], count: int) -> Table:
    columns = ("system", "worker MB per 1,000", "worker idle CPU %", "resume all s", "CPU ms each")
    rows = [
        (
            one.name,
            format_figure(one.bytes_each * 1000 / MB),
            format_figure(one.idle_cpu * 100),
            format_figure(one.resume_seconds),
            format_figure(one.cpu_ms_each(count)),
        )
        for one in found
    ]
    return Table("While waiting, and after", columns, rows)


def _bars(own: Waited, other: Waited, count: int) -> list[Bar]:
    return [
        Bar("worker memory per 1,000 waiting", own.bytes_each * 1000 / MB, 20, unit="MB"),
        Bar(
            "time to resume all over the hand-written workflow's",
            own.resume_seconds / other.resume_seconds,
            1.2,
        ),
        Bar("CPU to resume one", own.cpu_ms_each(count), 60, unit="ms"),
    ]


async def _wait_and_resume(
    system: System,
    count: int,
    start: Callable[[], Awaitable[Sequence[str]]],
    resume: Callable[..., Awaitable[None]],
) -> Waited:
    say(f"{count} waiting: {system.name}")
    worker = system.roles["worker"]
    before = memory_bytes(worker)
    asked = await start()
    await await_rest(worker)
    idle = CpuMeter({"worker": worker})
    await asyncio.sleep(IDLE_SECONDS)
    idle_cpu = idle.read()["worker"] / IDLE_SECONDS
    grown = memory_bytes(worker) - before
    say(f"resuming {count}: {system.name}")
    meter = CpuMeter(system.roles)
    began = time.perf_counter()
    await resume(system, asked)
    seconds = time.perf_counter() - began
    return Waited(system.name, grown / count, idle_cpu, seconds, meter.read())


def _tabulate_processes(found: Sequence[Waited], count: int) -> Table:
    cells = [
        [
            format_figure(one.resume_cpu[role] / count * 1000) if role in one.resume_cpu else "-"
            for role in ROLES
        ]
        for one in found
    ]
    rows = [(one.name, *row) for one, row in zip(found, cells, strict=True)]
    return Table("CPU by process, ms for each that resumes", ("system", *ROLES), rows)


async def await_rest(worker: int) -> None:
    """Return when the worker uses hardly any CPU."""

    async def is_quiet() -> bool:
        meter = CpuMeter({"worker": worker})
        await asyncio.sleep(1)
        return meter.read()["worker"] < QUIET_CPU

    await eventually(is_quiet, within=PARKED_SECONDS, what="rest")


async def start_ours(ours: Perdure, count: int) -> Sequence[str]:
    """Start them, wait until all ask, and return the ids of what is asked."""
    task = await ours.task(ASKS)
    await flood(lambda nonce: ours.execute(task, nonce), fresh_nonces(count), in_flight=AT_A_TIME)

    async def all_ask() -> bool:
        return await ours.count("waiting_for_user") == count

    await eventually(all_ask, within=PARKED_SECONDS, what="all questions")
    return await ours.open_requests()


async def resume_ours(ours: Perdure, asked: Sequence[str]) -> None:
    """Answer what is asked, and wait until all executions have ended."""
    await flood(ours.answer, asked, in_flight=AT_A_TIME)

    async def all_done() -> bool:
        return not await ours.count("waiting_for_user") and not await ours.count("running")

    await eventually(all_done, within=PARKED_SECONDS, what="all ends")


async def _answer_alone(ours: Perdure, asked: Sequence[str]) -> list[float]:
    """Seconds from each answer's request until its execution calls the model; one at a time."""
    sent: list[float] = []
    for request in asked:
        waiting = await ours.count("waiting_for_user")
        sent.append(time.monotonic())
        await ours.answer(request)

        async def has_ended(before: int = waiting) -> bool:
            is_running = await ours.count("running")
            return not is_running and await ours.count("waiting_for_user") == before - 1

        await eventually(has_ended, within=PARKED_SECONDS, what="the end")
    arrived = await ours.model_calls_since(sent[0])
    return [call - at for at, call in zip(sent, arrived, strict=True)]


async def _replay(ours: Perdure) -> Spread:
    """CPU milliseconds of the worker for a replay, in each round; the oldest that wait replay."""
    waiting = await ours.waiting_workflows()
    taken = []
    for first in range(0, REPLAYS * REPLAY_ROUNDS, REPLAYS):
        evicted = waiting[first : first + REPLAYS]
        replayed = await _query(ours, evicted)
        cached = await _query(ours, evicted[-1:] * REPLAYS)
        taken.append((replayed - cached) / REPLAYS * 1000)
    return Spread.of(taken)


async def _query(ours: Perdure, workflow_ids: Sequence[str]) -> float:
    """Ask each for its progress, one after the other; the CPU seconds of the worker."""
    meter = CpuMeter({"worker": ours.roles["worker"]})
    for workflow_id in workflow_ids:
        await ours.query_progress(workflow_id)
    return meter.read()["worker"]


async def _start(peer: TemporalPeer, count: int) -> Sequence[str]:
    """Start them and return their ids."""
    nonces = fresh_nonces(count)
    await flood(lambda nonce: peer.start(ASKS, nonce), nonces, in_flight=AT_A_TIME)
    return nonces


async def _resume(peer: TemporalPeer, asked: Sequence[str]) -> None:
    async def answer(nonce: str) -> None:
        await peer.client.get_workflow_handle(nonce).signal("answer", "left")

    await flood(answer, asked, in_flight=AT_A_TIME)

    async def all_done() -> bool:
        running = f"WorkflowType = '{peer.workflow}' AND ExecutionStatus = 'Running'"
        return (await peer.client.count_workflows(running)).count == 0

    await eventually(all_done, within=PARKED_SECONDS, what="all ends")
