"""The timeline of a report: bounded without losing anything, drawn without drowning in waits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import get_args

from contracts.reports import Lane, Span

MAX_SPANS = 400
"""Of one lane: as many as a wide screen can tell apart (chosen)."""

LONG_WAIT = 0.12
"""Share of the busy time above which an idle stretch is drawn as a break, not to scale (chosen)."""

BREAK_PERCENT = 6.0
"""How wide a break is drawn: room for its label (chosen)."""

MAX_BREAKS = 6
"""More of them would leave no room for the work: only the longest are breaks (chosen)."""


def folded(spans: Sequence[Span]) -> Iterator[Span]:
    """The same spans lane by lane, neighbours joined until each lane holds at most `MAX_SPANS`."""
    for lane in get_args(Lane):
        yield from _bounded([span for span in spans if span.lane == lane])


def _bounded(spans: Sequence[Span]) -> Sequence[Span]:
    if len(spans) <= MAX_SPANS:
        return spans
    gap = max(s.ended_at for s in spans) - spans[0].started_at
    gap /= 4 * MAX_SPANS
    while len(joined := _joined(spans, gap)) > MAX_SPANS:
        gap *= 2
    return joined


def _joined(spans: Sequence[Span], gap: timedelta) -> Sequence[Span]:
    """Spans less than `gap` apart as one; a failure shows through."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is None or span.started_at - last.ended_at > gap:
            joined.append(span)
            continue
        joined[-1] = last.model_copy(
            update={
                "label": last.label if last.label == span.label else "several",
                "ended_at": max(last.ended_at, span.ended_at),
                "is_error": last.is_error or span.is_error,
                "count": last.count + span.count,
            }
        )
    return joined


@dataclass(frozen=True, slots=True)
class Break:
    """An idle stretch that is drawn shorter than it was."""

    left: float
    width: float
    seconds: float


class Axis:
    """Where a moment stands, in percent: to scale, but for the breaks."""

    def __init__(self, spans: Sequence[Span]) -> None:
        """The axis of these spans; people's spans are waits, so they stretch nothing."""
        times = [t for s in spans for t in (s.started_at, s.ended_at)]
        self.start, self.end = min(times), max(times)
        busy = sorted((s.started_at, s.ended_at) for s in spans if s.lane != "people")
        idle = list(_gaps(busy, self.start, self.end))
        at_work = (self.end - self.start) - sum((b - a for a, b in idle), timedelta())
        limit = at_work * LONG_WAIT
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
