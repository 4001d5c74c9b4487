"""The charts of a report: one drawing each, as SVG, for the page and for the PDF.

Drawn by a template of our own: pygal, the well-kept library, draws with fixed text sizes in a view
box, so that nothing can be read on a phone, and its pictures bring style sheets and links to
scripts. Ours give places in percent of a width that whoever shows them chooses and everything else
in pixels, have no script, no style and no request, carry the light colours as attributes (the
page's style sheet replaces them by class, in dark mode too), and say in `title` and `desc` what
they show; the table beside each has its numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import get_args

from markupsafe import Markup

from domain.report_facts import Lane, TimelineSpan, TurnUsage
from reports import palette, wording
from reports.model import ReportContent
from reports.telling import tooltip
from reports.templating import environment
from reports.timeline import Axis, Break

LABEL_PERCENT = 13.0
"""Room of a label under the timeline: `12 h 30 min` on a narrow screen (chosen)."""

LEAST_PERCENT = 0.4
"""How wide a moment is drawn: a pixel on a phone, four on a desk (chosen)."""

FEWEST_TURNS = 3
"""Fewer say nothing that a number would not (chosen)."""

COLUMN_SHARE = 0.84
"""Of the room of a column; the rest keeps neighbours apart (chosen)."""

NOTHING = Decimal(0)

LANE_NAMES: Mapping[Lane, str] = {
    "model": "Claude",
    "tools": "Tools",
    "subtasks": "Subtasks",
    "people": "People",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A rectangle: places in percent across, in pixels down from the top of its track."""

    kind: str
    left: float
    width: float
    top: float
    height: float
    tip: str


@dataclass(frozen=True, slots=True)
class Track:
    """One lane of the timeline."""

    kind: Lane
    name: str
    count: str
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Label:
    """A word under the timeline, around a place in percent of its width."""

    middle: float
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """One layer of a stack of columns: its name, its colour and what of a turn it shows."""

    kind: str
    name: str
    amount: Callable[[TurnUsage], Decimal | int]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing by its name; `width` is what an SVG's width can be, `alt` says what it shows."""

    name: str
    title: str
    alt: str
    template: str
    drawn: Mapping[str, object]

    def svg(self, width: str = "100%") -> Markup:
        """The drawing, as wide as that."""
        template = environment().get_template(self.template)
        text = template.render(chart=self, colours=palette.LIGHT, width=width, **self.drawn)
        return Markup(text)  # noqa: S704 - made by our template, which escapes every text


def charts(report: ReportContent) -> Mapping[str, Chart]:
    """Those that have something to show, by name."""
    drawn = (timeline(report), cost_by_turn(report), tokens_by_turn(report))
    return {chart.name: chart for chart in drawn if chart is not None}


def timeline(report: ReportContent) -> Chart | None:
    """What took how long, a lane for each kind of work."""
    if not report.timeline:
        return None
    axis = Axis(report.timeline)
    length = (axis.end - axis.start).total_seconds() * 1000
    tracks = [track for lane in get_args(Lane) if (track := _track(lane, report, axis))]
    lanes = "; ".join(f"{track.name}: {track.count}" for track in tracks)
    return Chart(
        "timeline",
        "Timeline",
        f"{lanes}, in {wording.duration(length)}.",
        "timeline.svg.j2",
        {
            "tracks": tracks,
            "gaps": axis.breaks,
            "labels": list(_labels(axis.breaks)),
            "end": wording.duration(length),
        },
    )


def _track(lane: Lane, report: ReportContent, axis: Axis) -> Track | None:
    spans = [span for span in report.timeline if span.lane == lane]
    if not spans:
        return None
    failed = sum(span.is_error for span in spans)
    count = wording.plural(sum(span.count for span in spans), "step")
    return Track(
        kind=lane,
        name=LANE_NAMES[lane],
        count=f"{count}, {failed} failed" if failed else count,
        marks=[_bar(span, axis) for span in spans],
    )


def _bar(span: TimelineSpan, axis: Axis) -> Mark:
    left = axis.at(span.started_at)
    width = max(axis.at(span.ended_at) - left, LEAST_PERCENT)
    kind = "bad" if span.is_error else span.lane
    return Mark(kind, min(left, 100 - width), width, 3, 16, tooltip(span))


def _labels(breaks: Sequence[Break]) -> Iterator[Label]:
    """How long each break was, but where two labels would run into each other."""
    last = -LABEL_PERCENT
    for gap in breaks:
        middle = gap.left + gap.width / 2
        if middle - last >= LABEL_PERCENT:
            last = middle
            yield Label(middle, wording.duration(gap.seconds * 1000))


def cost_by_turn(report: ReportContent) -> Chart | None:
    """What each turn cost."""
    parts = (Part("model", "cost", lambda use: use.cost_usd),)
    return _columns("cost-by-turn", "Cost by turn", report, parts, _money)


def tokens_by_turn(report: ReportContent) -> Chart | None:
    """How many tokens each turn took, by what they were."""
    parts = (
        Part("cached", "read from cache", lambda use: use.tokens.cache_read),
        Part("tools", "new", lambda use: use.tokens.input + use.tokens.cache_write),
        Part("model", "written", lambda use: use.tokens.output),
    )
    return _columns("tokens-by-turn", "Tokens by turn", report, parts, _tokens)


def _money(amount: Decimal | int) -> str:
    return wording.money(Decimal(amount))


def _tokens(amount: Decimal | int) -> str:
    return wording.plural(int(amount), "token")


def _columns(
    name: str,
    title: str,
    report: ReportContent,
    parts: Sequence[Part],
    told: Callable[[Decimal | int], str],
) -> Chart | None:
    uses = report.spending
    totals = [_total(use, parts) for use in uses]
    most = max(totals, default=NOTHING)
    if len(uses) < FEWEST_TURNS or not most:
        return None
    peak = uses[totals.index(most)]
    return Chart(
        name,
        title,
        f"{told(sum(totals))} over {wording.plural(uses[-1].last, 'turn')}, "
        f"the most in {turns(peak)}: {told(most)}.",
        "columns.svg.j2",
        {
            "marks": list(_stacks(uses, parts, most, told)),
            "parts": parts if len(parts) > 1 else (),
            "most": told(most),
            "first": turns(uses[0]),
            "last": turns(uses[-1]),
        },
    )


def _total(use: TurnUsage, parts: Sequence[Part]) -> Decimal:
    amounts = [Decimal(part.amount(use)) for part in parts]
    return sum(amounts, start=NOTHING)


def _stacks(
    uses: Sequence[TurnUsage],
    parts: Sequence[Part],
    most: Decimal,
    told: Callable[[Decimal | int], str],
) -> Iterator[Mark]:
    """The columns in percent of the highest one, layer upon layer from the ground."""
    room = 100 / len(uses)
    for place, use in enumerate(uses):
        top = 100.0
        for part in parts:
            amount = part.amount(use)
            height = float(amount / most) * 100
            if amount > 0:
                top -= height
                left = (place + (1 - COLUMN_SHARE) / 2) * room
                tip = f"{turns(use)}: {told(amount)}"
                tip += f" {part.name}" if len(parts) > 1 else ""
                yield Mark(part.kind, left, room * COLUMN_SHARE, top, height, tip)


def turns(use: TurnUsage) -> str:
    """`turn 3`, or `turns 4 to 6` where some are one column."""
    return f"turn {use.first}" if use.first == use.last else f"turns {use.first} to {use.last}"
