"""The HTML of a report: one file, no script, no request to anywhere."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from contracts.reports import Excerpt, Lane, ReportContent, Span, ToolCall
from reports import wording
from reports.markup import markdown, plain, visible
from reports.timeline import Axis, Break

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content-Security-Policy of the page, in its meta tag; who serves it sends it as a header too."""

_TELLING = ("command", "path", "file_path", "question", "title", "pattern", "url", "query")
"""Inputs that say by themselves what a call is about, the most telling first."""

LABEL_PERCENT = 11.0
"""Room of a label under the timeline: `12 h 30 min` on a narrow screen (chosen)."""

_LANE_NAMES: Mapping[Lane, str] = {
    "model": "Claude",
    "tools": "Tools",
    "subtasks": "Subtasks",
    "people": "People",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as it is drawn, in percent of the timeline's width."""

    span: Span
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Track:
    """One lane of the timeline."""

    lane: Lane
    name: str
    bars: Sequence[Bar]
    count: int


@dataclass(frozen=True, slots=True)
class Label:
    """A word under the timeline, around a place in percent of its width."""

    middle: float
    text: str


def render_html(report: ReportContent) -> bytes:
    """The report as a page by itself."""
    page = _environment().get_template("report.html.j2")
    axis = Axis(report.timeline) if report.timeline else None
    text = page.render(
        report=report,
        css=_css(),
        policy=POLICY,
        calls={call.tool_use_id: call for call in report.tool_calls},
        shown_messages={message.seq for message in report.transcript},
        tracks=_tracks(report.timeline, axis) if axis else (),
        breaks=axis.breaks if axis else (),
        break_labels=list(_labels(axis.breaks)) if axis else (),
        length_ms=(axis.end - axis.start).total_seconds() * 1000 if axis else 0,
        waited_ms=sum(request.waited_ms for request in report.input_requests),
    )
    return text.encode()


def _tracks(spans: Sequence[Span], axis: Axis) -> Sequence[Track]:
    return [
        Track(
            lane=lane,
            name=_LANE_NAMES[lane],
            bars=[_bar(span, axis) for span in spans if span.lane == lane],
            count=sum(span.count for span in spans if span.lane == lane),
        )
        for lane in get_args(Lane)
        if any(span.lane == lane for span in spans)
    ]


def _labels(breaks: Sequence[Break]) -> Iterator[Label]:
    """How long each break was, but where two labels would run into each other."""
    last = -LABEL_PERCENT
    for gap in breaks:
        middle = gap.left + gap.width / 2
        if middle - last >= LABEL_PERCENT:
            last = middle
            yield Label(middle, wording.duration(gap.seconds * 1000))


def _bar(span: Span, axis: Axis) -> Bar:
    left = axis.at(span.started_at)
    return Bar(span, left, axis.at(span.ended_at) - left)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (wording.duration, wording.money, wording.number, wording.size, wording.moment):
        environment.filters[word.__name__] = word
    environment.filters |= {
        "spoken": wording.spoken,
        "plain": plain,
        "markdown": markdown,
        "pretty": pretty,
        "brief": brief,
        "tooltip": tooltip,
        "after": after,
        "indented": indented,
    }
    environment.globals["plural"] = wording.plural
    return environment


@cache
def _css() -> Markup:
    return Markup(files("reports").joinpath("templates", "report.css").read_text("utf-8"))  # noqa: S704 - our own file


def pretty(excerpt: Excerpt) -> str:
    """A tool's input as a person reads it: a lone text as it is, several fields as JSON."""
    value = _parsed(excerpt.text)
    if isinstance(value, dict) and len(value) == 1:
        [only] = value.values()
        value = only if isinstance(only, str) else value
    return value if isinstance(value, str) else indented(value)


def _parsed(text: str) -> Any:
    """JSON that may be cut, as far as it can be read; else the text."""
    for end in ("", '"}'):
        with suppress(ValueError):
            return json.loads(text + end)
    return text


def indented(value: object) -> str:
    """JSON to be read."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def tooltip(span: Span) -> str:
    """What a bar of the timeline says when it is pointed at."""
    took = wording.duration((span.ended_at - span.started_at).total_seconds() * 1000)
    label = wording.spoken(span.label) if span.lane == "people" else span.label
    turn = f"turn {span.turn}, " if span.turn is not None and span.count == 1 else ""
    several = f"{span.count} steps, " if span.count > 1 else ""
    return f"{label}: {turn}{several}{took}{', failed' if span.is_error else ''}"


def after(milliseconds: float) -> str:
    """How long after the beginning; clocks of two machines may disagree by a little."""
    return wording.duration(max(milliseconds, 0))


def brief(call: ToolCall) -> str:
    """What a call is about, in one line."""
    value = _parsed(call.input.text)
    if isinstance(value, dict):
        telling = (value[key] for key in _TELLING if isinstance(value.get(key), str))
        value = next(telling, value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())
