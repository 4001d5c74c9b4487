"""Long conversations: what the history grows to, and what a turn costs at the end of one."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from temporalio.client import WorkflowFailureError

from bench.figures import Bar, Section, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.own_process import plain_loop
from bench.systems.perdure import perdure
from bench.systems.system import Recorded, System, side_by_side
from bench.systems.temporal_peers import handwritten
from bench.world import World

SIZE_BYTES = 2000
EDGE = 20
"""Turns at each end of a conversation that are compared."""

MOST_EVENTS = 30
MOST_BYTES = 10_000
FLAT = 1.5


@dataclass(frozen=True, slots=True)
class Conversation:
    """One execution: seconds from each model call to the next, and its record."""

    gaps: Sequence[float]
    calls: int
    recorded: Recorded

    @property
    def first(self) -> float:
        """Milliseconds per turn at the beginning."""
        return statistics.median(self.gaps[:EDGE]) * 1000

    @property
    def last(self) -> float:
        """Milliseconds per turn at the end."""
        return statistics.median(self.gaps[-EDGE:]) * 1000


Found = dict[tuple[str, int], list[Conversation]]


async def measure(scale: Scale) -> Section:
    """Conversations of growing length; the longest several times."""
    found: Found = {}
    async with (
        World.running() as world,
        side_by_side(world, perdure, handwritten, plain_loop) as systems,
    ):
        for turns in scale.turns:
            for _ in range(scale.long_runs):
                for system in systems:
                    say(f"{turns} turns of {SIZE_BYTES} bytes: {system.name}")
                    done = await _converse(world, system, turns)
                    found.setdefault((system.name, turns), []).append(done)
    longest = max(scale.turns)
    return Section(
        "Long conversations",
        f"The model says {SIZE_BYTES:,} bytes in each turn. Milliseconds per turn are from one "
        f"model call to the next, as the model sees them; first and last {EDGE} turns.",
        [_table(found)],
        _bars(found, longest),
        [_note(found, longest)],
    )


async def _converse(world: World, system: System, turns: int) -> Conversation:
    job = Job(tool_turns=turns - 1, size_bytes=SIZE_BYTES)
    before = (await world.calls()).count
    recorded = Recorded()
    try:
        recorded = await system.count_recorded(job, fresh_nonces(1)[0])
    except* WorkflowFailureError:
        say("  ended by Temporal's server: its history is too large")
    requests = (await world.calls()).requests[before:]
    arrivals = [request["arrived_at"] for request in requests]
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    return Conversation(gaps, len(requests), recorded)


def _select_median(found: Found, name: str, turns: int) -> Conversation:
    """The run with the median of the last turns."""
    runs = sorted(found[name, turns], key=lambda conversation: conversation.last)
    return runs[len(runs) // 2]


def _table(found: Found) -> Table:
    rows = []
    for name, turns in found:
        one = _select_median(found, name, turns)
        lived = one.calls >= turns
        history = one.recorded
        rows.append(
            (
                name,
                str(turns),
                "yes" if lived else f"ended by the server at call {one.calls}",
                f"{history.history_events:,}" if lived else "-",
                f"{history.history_bytes:,}" if lived else "-",
                format_figure(one.first),
                format_figure(one.last),
            )
        )
    columns = ("system", "turns", "completed", "history events", "bytes", "first ms", "last ms")
    return Table("By length", columns, rows)


def _bars(found: Found, longest: int) -> list[Bar]:
    bars = []
    for turns in sorted({turns for _, turns in found}):
        history = _select_median(found, "Perdure", turns).recorded
        bars += [
            Bar(f"history events at {turns} turns", history.history_events, MOST_EVENTS),
            Bar(f"history bytes at {turns} turns", history.history_bytes, MOST_BYTES),
        ]
    return [
        *bars,
        Bar(
            f"last {EDGE} turns of {longest} over the first, beyond the plain loop",
            _growth(found, longest),
            FLAT,
        ),
    ]


def _growth(found: Found, turns: int) -> float:
    """Our own time per turn, over a plain loop that sends the same bytes: last over first."""
    ours, plain = (
        _select_median(found, "Perdure", turns),
        _select_median(found, "plain loop", turns),
    )
    return (ours.last - plain.last) / (ours.first - plain.first)


def _note(found: Found, turns: int) -> str:
    ours, plain = (
        _select_median(found, "Perdure", turns),
        _select_median(found, "plain loop", turns),
    )
    first, last = format_figure(ours.first - plain.first), format_figure(ours.last - plain.last)
    return (
        f"Our own milliseconds per turn, beyond the plain loop's, at {turns} turns: "
        f"{first} in the first {EDGE}, {last} in the last."
    )
