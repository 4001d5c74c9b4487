"""Filters of the templates: times in the viewer's zone, numbers, money, Markdown.

Loaded with the first page, because it loads Jinja and the Markdown parser.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from api.web.zones import find_zone
from domain.executions.report_facts import TimelineSpan
from domain.people.nested_forms import Control, ControlKind
from domain.text import harmless
from reports.charts import Chart, draw_timeline
from reports.phrases import (
    count_of,
    format_duration,
    format_json,
    format_money,
    format_number,
    format_size,
    shorten,
)
from reports.text import PAGE_DEPTH, parse_markdown
from reports.timeline import join_spans
from reports.writers.html import write_nodes

_SHORT = (ControlKind.TEXT, ControlKind.NUMBER, ControlKind.CHOICE, ControlKind.SECRET)

LONGEST_PROSE = 100_000
"""Characters of a text that are shown as Markdown; a longer one is shown as it is (chosen: 50 ms
for parsing)."""

SHORT_PROSE = 4_000
"""Characters of a text whose HTML is kept (chosen: all that is kept has some 5 MB)."""


def format_local_time(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """`today, 14:05`, `28 Nov, 14:05`, `28 Nov 2025, 14:05`."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"today, {local:%H:%M}"
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local.day} {local:%b}{year}, {local:%H:%M}"


def format_full_time(at: datetime, zone: ZoneInfo) -> str:
    """`28 Nov 2026, 14:05:33 CET`; for a zone other than UTC also the time in UTC."""
    local = at.astimezone(zone)
    text = f"{local.day} {local:%b %Y, %H:%M:%S} {local.tzname()}"
    return text if local.utcoffset() == UTC.utcoffset(None) else f"{text} ({_utc(at)} UTC)"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"


def _zone_of(context: Context) -> ZoneInfo:
    return find_zone(str(context.get("zone", "UTC")))


@pass_context
def _time(context: Context, at: datetime) -> str:
    return format_full_time(at, _zone_of(context)).partition(" (")[0]


@pass_context
def _render_time(context: Context, at: datetime | None) -> Markup:
    """An element with a time as short as it can be; its tooltip is exact."""
    if at is None:
        return Markup("\N{EN DASH}")
    zone = _zone_of(context)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.astimezone(UTC).isoformat(),
        format_full_time(at, zone),
        format_local_time(at, zone, datetime.now(UTC)),
    )


def _prose(text: str) -> Markup:
    """Markdown from a model as HTML: raw HTML stays text, and only links to the web are links."""
    if len(text) > LONGEST_PROSE:
        return Markup('<pre tabindex="0" aria-label="Text">{}</pre>').format(harmless(text))
    return _write_short_prose(text) if len(text) <= SHORT_PROSE else _write_prose(text)


def _write_prose(text: str) -> Markup:
    return Markup(write_nodes(parse_markdown(text, PAGE_DEPTH)))  # noqa: S704 - the writer escapes all texts


_write_short_prose = lru_cache(512)(_write_prose)
"""All viewers of an execution read the same texts, and read them again with each update."""


@pass_context
def _clock(context: Context, at: datetime, form: str = "%H:%M") -> str:
    return at.astimezone(_zone_of(context)).strftime(form)


def _draw_steps(steps: Sequence[TimelineSpan], *ends: datetime) -> Chart | None:
    """How long each step took, as a picture."""
    return draw_timeline(list(join_spans(steps)), *ends)


def _compact(value: object) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def _usd(amount: float) -> str:
    return format_money(Decimal(str(amount)))


def _words(code: object) -> str:
    """`waiting_for_user` as `waiting for user`."""
    return str(code).replace("_", " ")


def _make_id(name: str) -> str:
    """An id of an element: other attributes list ids with spaces between them."""
    return "_".join(name.split())


def _is_short(control: Control) -> bool:
    return control.kind in _SHORT and control.schema.get("type") != "boolean"


def _group_short(controls: Iterable[Control]) -> Iterator[tuple[bool, list[Control]]]:
    """Neighbours with one line each, which are shown beside each other, and the others."""
    for is_short, run in groupby(controls, _is_short):
        yield is_short, list(run)


def _mark_codes(text: str) -> Markup:
    """A text whose parts between backticks are code."""
    parts = harmless(text).split("`")
    marked = (
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part)
        for at, part in enumerate(parts)
    )
    return Markup().join(marked)


FILTERS = {
    "codes": _mark_codes,
    "group_short": _group_short,
    "time": _time,
    "when": _render_time,
    "clock": _clock,
    "money": format_money,
    "usd": _usd,
    "number": format_number,
    "size": format_size,
    "duration": format_duration,
    "count": count_of,
    "json_text": format_json,
    "compact": _compact,
    "parsed": datetime.fromisoformat,
    "prose": _prose,
    "words": _words,
    "shorten": shorten,
    "timeline": _draw_steps,
    "dom_id": _make_id,
}
