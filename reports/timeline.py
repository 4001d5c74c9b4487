"""The timeline of a report: bounded without losing anything, drawn without drowning in waits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import get_args

from domain.report_facts import Lane, TimelineSpan

MAX_SPANS = 400
"""Of one lane: as many as a wide screen can tell apart (chosen)."""

LONG_WAIT = 0.12
"""Share of the busy time above which an idle stretch is drawn as a break, not to scale (chosen)."""

SHORTEST_BREAK = timedelta(seconds=5)
"""A shorter stretch is no wait that anybody would want to skip (chosen)."""

BREAK_PERCENT = 6.0
"""How wide a break is drawn: room for its label (chosen)."""

MAX_BREAKS = 6
"""More of them would leave no room for the work: only the longest are breaks (chosen)."""


def folded(spans: Sequence[TimelineSpan]) -> Iterator[TimelineSpan]:
    """The spans lane by lane, the nearest neighbours joined until a lane holds `MAX_SPANS`.

    `spans` are in order of their beginning within each lane.
    """
    for lane in get_args(Lane):
        yield from _bounded([span for span in spans if span.lane == lane])


def _bounded(spans: Sequence[TimelineSpan]) -> Iterator[TimelineSpan]:
    distances = [after.started_at - before.ended_at for before, after in pairwise(spans)]
    nearest = sorted(range(len(distances)), key=distances.__getitem__)
    joins = set(nearest[: max(len(spans) - MAX_SPANS, 0)])
    group: list[TimelineSpan] = []
    for place, span in enumerate(spans):
        group.append(span)
        if place not in joins:
            yield _joined(group)
            group = []


def _joined(group: Sequence[TimelineSpan]) -> TimelineSpan:
    """Neighbours as one span; a failure shows through."""
    first = group[0]
    if len(group) == 1:
        return first
    return TimelineSpan(
        lane=first.lane,
        label=first.label if len({span.label for span in group}) == 1 else "several",
        turn=first.turn,
        started_at=first.started_at,
        ended_at=max(span.ended_at for span in group),
        is_error=any(span.is_error for span in group),
        count=sum(span.count for span in group),
    )


@dataclass(frozen=True, slots=True)
class Break:
    """An idle stretch that is drawn shorter than it was."""

    left: float
    width: float
    seconds: float


class Axis:
    """Where a moment stands, in percent: to scale, but for the breaks."""

    def __init__(self, spans: Sequence[TimelineSpan]) -> None:
        """The axis of these spans; people's spans are waits, so they stretch nothing."""
        times = [t for s in spans for t in (s.started_at, s.ended_at)]
        self.start, self.end = min(times), max(times)
        busy = sorted((s.started_at, s.ended_at) for s in spans if s.lane != "people")
        idle = list(_gaps(busy, self.start, self.end))
        at_work = (self.end - self.start) - sum((b - a for a, b in idle), timedelta())
        limit = max(at_work * LONG_WAIT, SHORTEST_BREAK)
        long = sorted((g for g in idle if g[1] - g[0] > limit), key=lambda g: g[0] - g[1])
        self._breaks = sorted(long[:MAX_BREAKS])
        drawn = (self.end - self.start) - sum((b - a for a, b in self._breaks), timedelta())
        scale = 100 - BREAK_PERCENT * len(self._breaks)
        self._percent_per_second = scale / max(drawn.total_seconds(), 0.001)

    def at(self, moment: datetime) -> float:
        """Percent from the left."""
        percent, since = 0.0, self.start
        for begin, end in self._breaks:
            if moment <= begin:
                break
            percent += self._percent(since, begin)
            percent += BREAK_PERCENT * min((moment - begin) / (end - begin), 1.0)
            since = end
        return percent + max(self._percent(since, moment), 0.0)

    def _percent(self, begin: datetime, end: datetime) -> float:
        return (end - begin).total_seconds() * self._percent_per_second

    @property
    def breaks(self) -> Sequence[Break]:
        """The stretches that are not to scale."""
        return [
            Break(self.at(begin), BREAK_PERCENT, (end - begin).total_seconds())
            for begin, end in self._breaks
        ]


def _gaps(
    busy: Iterable[tuple[datetime, datetime]], start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The stretches between `start` and `end` in which nothing of `busy` happens."""
    union = [(start, start)]
    for begin, until in busy:
        if begin <= union[-1][1]:
            union[-1] = (union[-1][0], max(until, union[-1][1]))
        else:
            union.append((begin, until))
    for (_, left), (right, _) in pairwise([*union, (end, end)]):
        if right > left:
            yield left, right
