"""How long one execution takes when nothing else runs, the systems in turn."""

from collections.abc import Sequence

from bench.figures import Bar, Section, Spread, Table
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.own_process import plain_loop
from bench.systems.peers import others
from bench.systems.perdure import perdure
from bench.systems.system import System, side_by_side
from bench.systems.temporal_peers import handwritten
from bench.world import World

DELAY_MS = 200

Latencies = dict[str, list[float]]


async def measure(scale: Scale) -> Section:
    """Latencies at 0 and 200 ms, and what each system has on record afterwards."""
    async with (
        World.running() as world,
        side_by_side(world, perdure, handwritten, plain_loop, *others(scale)) as systems,
    ):
        say("one at a time, the model answers at once")
        at_once = await _measure_in_turn(systems, Job(), scale.alone)
        say(f"one at a time, the model takes {DELAY_MS} ms")
        delayed = await _measure_in_turn(systems, Job(delay_ms=DELAY_MS), scale.alone_delayed)
        recorded = [
            (system.name, await system.count_recorded(Job(), fresh_nonces(1)[0]))
            for system in systems
        ]
    record = Table(
        "On record of one execution",
        ("system", "rows in Postgres", "events or journal entries", "history bytes", "survives"),
        [
            (n, str(r.rows), str(r.history_events), f"{r.history_bytes:,}", r.survives)
            for n, r in recorded
        ],
    )
    return Section(
        "One execution alone",
        "Milliseconds from the request to the answer; systems take turns, execution by execution. "
        "Overhead is what exceeds the plain loop.",
        [_table("The model answers at once", at_once), _table(f"{DELAY_MS} ms", delayed), record],
        [
            Bar(
                "latency alone over the hand-written workflow's",
                _ratio(at_once, "hand-written").median,
                0.75,
                goal=0.55,
            ),
            Bar(
                f"latency alone over the plain loop's, the model taking {DELAY_MS} ms",
                _ratio(delayed, "plain loop").median,
                1.12,
            ),
        ],
    )


async def _measure_in_turn(systems: Sequence[System], job: Job, count: int) -> Latencies:
    """Each system runs one execution, then each its next: what disturbs one disturbs all."""
    seconds: Latencies = {system.name: [] for system in systems}
    for _ in range(count):
        for system in systems:
            seconds[system.name] += await system.run(job, fresh_nonces(1), in_flight=1)
    return seconds


def _ratio(seconds: Latencies, peer: str) -> Spread:
    return Spread.of_ratios(seconds["Perdure"], seconds[peer])


def _table(title: str, seconds: Latencies) -> Table:
    rows = []
    for name, values in seconds.items():
        latency = Spread.of(values).times(1000)
        overhead = Spread.of(
            own - plain for own, plain in zip(values, seconds["plain loop"], strict=True)
        ).times(1000)
        against = "1" if name == "Perdure" else str(_ratio(seconds, name))
        rows.append((name, str(latency), str(overhead), against))
    columns = ("system", "ms", "overhead ms", "Perdure's share of it")
    return Table(title, columns, rows)
