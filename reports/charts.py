"""The charts of a report: each is one SVG drawing, for the page and for the PDF.

Drawn with our own templates: pygal, the well-maintained library, draws with fixed text sizes in a
view box, so nothing is readable on a phone, and its pictures bring style sheets and links to
scripts. Ours give positions across in percent of a width that the writer chooses, and everything
else in pixels. They contain no script, style or request. Their attributes hold the light colours,
which the page's style sheet replaces by class, for dark mode too. `title` and `desc` describe what
they show; the table beside each has the numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import get_args

from markupsafe import Markup

from domain.executions.report_facts import Lane, TimelineSpan, TurnUsage
from reports import palette
from reports.model import ReportContent
from reports.phrases import (
    count_of,
    describe_span,
    describe_turns,
    format_duration,
    format_money,
)
from reports.templating import environment
from reports.timeline import Axis, TimelineBreak

LABEL_PERCENT = 13.0
"""Room for a label under the timeline: `12 h 30 min` on a narrow screen (chosen)."""

MIN_BAR_PERCENT = 0.4
"""Width of a bar with no length: a pixel on a phone, four on a desktop screen (chosen)."""

MIN_TURNS = 3
"""A chart of fewer turns shows no more than the numbers do (chosen)."""

COLUMN_SHARE = 0.84
"""Of the room of a column; the rest separates neighbours (chosen)."""

PRINT_WIDTH, PRINT_HEIGHT = 640, 880
"""Pixels of a page of A4 without its margins and headings: texts are as large as in it."""

LANE_NAMES: Mapping[Lane, str] = {
    "model": "Claude",
    "tools": "Tools",
    "subtasks": "Subtasks",
    "people": "People",
}

Amount = Decimal | int


@dataclass(frozen=True, slots=True)
class Mark:
    """A rectangle: positions in percent across, in pixels down from the top of its track."""

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
    """A text under the timeline; `middle` is in percent of its width."""

    middle: float
    text: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a stack of columns: its name, its colour and its amount for a turn."""

    kind: str
    name: str
    amount: Callable[[TurnUsage], Amount]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing; `alt` describes what it shows, `values` are the variables of its template.

    `size` is its width and height in pixels, for a drawing that is as wide as what it shows.
    """

    name: str
    title: str
    alt: str
    template: str
    values: Mapping[str, object]
    size: tuple[int, int] | None = None

    @property
    def scale_in_print(self) -> float:
        """By how much a drawing of its own size is made smaller, so that a page holds it."""
        if self.size is None:
            return 1.0
        return min(PRINT_WIDTH / self.size[0], PRINT_HEIGHT / self.size[1], 1.0)

    def draw(self, width: str = "100%", *, style: Markup | None = None) -> Markup:
        """The SVG; `width` is any width that SVG allows, `style` a style sheet to include."""
        template = environment().get_template(self.template)
        text = template.render(
            chart=self, colours=palette.LIGHT, width=width, style=style, **self.values
        )
        return Markup(text)  # noqa: S704 - made by our template, which escapes every text


def draw_charts(report: ReportContent) -> dict[str, Chart]:
    """The charts that have something to show, by name."""
    timeline = draw_timeline(report.timeline, report.started_at, report.ended_at)
    charts = (timeline, draw_cost_by_turn(report), draw_tokens_by_turn(report))
    return {chart.name: chart for chart in charts if chart is not None}


def draw_timeline(spans: Sequence[TimelineSpan], *times: datetime) -> Chart | None:
    """How long each step took, with a lane for each kind of work; `times` are on the axis, too."""
    if not spans:
        return None
    axis = Axis(spans, *times)
    length = format_duration((axis.end - axis.start).total_seconds() * 1000)
    tracks = [track for lane in get_args(Lane) if (track := _track(lane, spans, axis))]
    lanes = "; ".join(f"{track.name}: {track.count}" for track in tracks)
    return Chart(
        "timeline",
        "Timeline",
        f"{lanes}, in {length}.",
        "timeline.svg.j2",
        {
            "tracks": tracks,
            "gaps": axis.breaks,
            "labels": list(_labels(axis.breaks)),
            "end": length,
        },
    )


def _track(lane: Lane, all_spans: Sequence[TimelineSpan], axis: Axis) -> Track | None:
    spans = [span for span in all_spans if span.lane == lane]
    if not spans:
        return None
    failed = sum(span.is_error for span in spans)
    count = count_of(sum(span.count for span in spans), "step")
    return Track(
        kind=lane,
        name=LANE_NAMES[lane],
        count=f"{count}, {failed} failed" if failed else count,
        marks=[_bar(span, axis) for span in spans],
    )


def _bar(span: TimelineSpan, axis: Axis) -> Mark:
    left = axis.position(span.started_at)
    width = max(axis.position(span.ended_at) - left, MIN_BAR_PERCENT)
    kind = "bad" if span.is_error else span.lane
    return Mark(kind, min(left, 100 - width), width, 3, 16, describe_span(span))


def _labels(breaks: Sequence[TimelineBreak]) -> Iterator[Label]:
    """The length of each break, without the labels that would overlap."""
    last = -LABEL_PERCENT
    for gap in breaks:
        middle = gap.left + gap.width / 2
        if middle - last >= LABEL_PERCENT:
            last = middle
            yield Label(middle, format_duration(gap.seconds * 1000))


def draw_cost_by_turn(report: ReportContent) -> Chart | None:
    """What each turn cost."""
    layers = (Layer("model", "cost", lambda usage: usage.cost_usd),)
    return _columns("cost-by-turn", "Cost by turn", report, layers, _format_cost)


def draw_tokens_by_turn(report: ReportContent) -> Chart | None:
    """How many tokens each turn used, by kind."""
    layers = (
        Layer("cached", "cache read", lambda usage: usage.tokens.cache_read),
        Layer("tools", "new input", lambda usage: usage.tokens.input + usage.tokens.cache_write),
        Layer("model", "output", lambda usage: usage.tokens.output),
    )
    return _columns("tokens-by-turn", "Tokens by turn", report, layers, _format_tokens)


def _format_cost(amount: Amount) -> str:
    return format_money(Decimal(amount))


def _format_tokens(amount: Amount) -> str:
    return count_of(int(amount), "token")


def _columns(
    name: str,
    title: str,
    report: ReportContent,
    layers: Sequence[Layer],
    format_amount: Callable[[Amount], str],
) -> Chart | None:
    usages = report.spending
    amounts = ([Decimal(layer.amount(usage)) for layer in layers] for usage in usages)
    totals = [sum(stack, start=Decimal(0)) for stack in amounts]
    most = max(totals, default=Decimal(0))
    if len(usages) < MIN_TURNS or not most:
        return None
    peak = usages[totals.index(most)]
    return Chart(
        name,
        title,
        f"{format_amount(sum(totals))} over {count_of(usages[-1].last, 'turn')}, "
        f"the most in {describe_turns(peak.first, peak.last)}: {format_amount(most)}.",
        "columns.svg.j2",
        {
            "marks": list(_stacks(usages, layers, most, format_amount)),
            "layers": layers if len(layers) > 1 else (),
            "most": format_amount(most),
            "first": describe_turns(usages[0].first, usages[0].last),
            "last": describe_turns(usages[-1].first, usages[-1].last),
        },
    )


def _stacks(
    usages: Sequence[TurnUsage],
    layers: Sequence[Layer],
    most: Decimal,
    format_amount: Callable[[Amount], str],
) -> Iterator[Mark]:
    """The columns from bottom to top, in percent of the highest one."""
    room = 100 / len(usages)
    for number, usage in enumerate(usages):
        top = 100.0
        for layer in layers:
            amount = layer.amount(usage)
            height = float(amount / most) * 100
            if amount > 0:
                top -= height
                left = (number + (1 - COLUMN_SHARE) / 2) * room
                tip = f"{describe_turns(usage.first, usage.last)}: {format_amount(amount)}"
                tip += f" {layer.name}" if len(layers) > 1 else ""
                yield Mark(layer.kind, left, room * COLUMN_SHARE, top, height, tip)
