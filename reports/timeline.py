"""The timeline of a report: a bounded number of spans, and an axis that shortens long waits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import get_args

from domain.executions.report_facts import Lane, TimelineSpan

MAX_SPANS = 400
"""Of one lane: as many as a wide screen can show apart (chosen)."""

LONG_WAIT = 0.12
"""Share of the working time above which an idle stretch is shown as a break, not to scale
(chosen)."""

SHORTEST_BREAK = timedelta(seconds=5)
"""A shorter idle stretch is always to scale (chosen)."""

BREAK_PERCENT = 6.0
"""How wide a break is: room for its label (chosen)."""

MAX_BREAKS = 6
"""More breaks would leave no room for the work; only the longest ones are breaks (chosen)."""

Stretch = tuple[datetime, datetime]


def join_spans(spans: Sequence[TimelineSpan]) -> Iterator[TimelineSpan]:
    """The spans lane by lane, the closest neighbours joined until a lane has `MAX_SPANS`.

    `spans` are in the order of their start within each lane.
    """
    for lane in get_args(Lane):
        yield from _join_lane([span for span in spans if span.lane == lane])


def _join_lane(spans: Sequence[TimelineSpan]) -> Iterator[TimelineSpan]:
    distances = [after.started_at - before.ended_at for before, after in pairwise(spans)]
    nearest = sorted(range(len(distances)), key=distances.__getitem__)
    joins = set(nearest[: max(len(spans) - MAX_SPANS, 0)])
    group: list[TimelineSpan] = []
    for number, span in enumerate(spans):
        group.append(span)
        if number not in joins:
            yield _join_group(group)
            group = []


def _join_group(group: Sequence[TimelineSpan]) -> TimelineSpan:
    """Neighbours as one span, which is an error if one of them is."""
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
class TimelineBreak:
    """An idle stretch that is shown shorter than it was; `left` and `width` are in percent."""

    left: float
    width: float
    seconds: float


class Axis:
    """Positions in percent: to scale, except for the breaks."""

    def __init__(self, spans: Sequence[TimelineSpan], *others: datetime) -> None:
        """The axis of these spans and other times. The time that people take counts as idle."""
        times = [*others, *(t for s in spans for t in (s.started_at, s.ended_at))]
        self.start, self.end = min(times), max(times)
        busy = sorted((s.started_at, s.ended_at) for s in spans if s.lane != "people")
        idle = list(_gaps(busy, self.start, self.end))
        working_time = (self.end - self.start) - _total(idle)
        limit = max(working_time * LONG_WAIT, SHORTEST_BREAK)
        long = sorted((g for g in idle if g[1] - g[0] > limit), key=lambda g: g[0] - g[1])
        self._breaks = sorted(long[:MAX_BREAKS])
        to_scale = (self.end - self.start) - _total(self._breaks)
        percent = 100 - BREAK_PERCENT * len(self._breaks)
        self._percent_per_second = percent / max(to_scale.total_seconds(), 0.001)

    def position(self, moment: datetime) -> float:
        """Percent from the left."""
        percent, since = 0.0, self.start
        for start, end in self._breaks:
            if moment <= start:
                break
            percent += self._percent(since, start)
            percent += BREAK_PERCENT * min((moment - start) / (end - start), 1.0)
            since = end
        return percent + max(self._percent(since, moment), 0.0)

    def _percent(self, start: datetime, end: datetime) -> float:
        return (end - start).total_seconds() * self._percent_per_second

    @property
    def breaks(self) -> Sequence[TimelineBreak]:
        """The stretches that are not to scale."""
        return [
            TimelineBreak(self.position(start), BREAK_PERCENT, (end - start).total_seconds())
            for start, end in self._breaks
        ]


def _total(stretches: Sequence[Stretch]) -> timedelta:
    return sum((end - start for start, end in stretches), timedelta())


def _gaps(busy: Iterable[Stretch], start: datetime, end: datetime) -> Iterator[Stretch]:
    """The stretches between `start` and `end` in which nothing of `busy` happens."""
    union = [(start, start)]
    for since, until in busy:
        if since <= union[-1][1]:
            union[-1] = (union[-1][0], max(until, union[-1][1]))
        else:
            union.append((since, until))
    for (_, left), (right, _) in pairwise([*union, (end, end)]):
        if right > left:
            yield left, right
