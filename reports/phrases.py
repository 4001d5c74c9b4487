"""Numbers, times and values as words: the same words in every format of a report."""

import json
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from domain.executions.report_facts import Excerpt, InputRequest, TimelineSpan, ToolCallSummary
from domain.people.requests import QUESTIONS
from domain.text import as_text

SCRIPTED = (
    "A scripted model wrote the answers in this report. Claude was not called, and nothing "
    "was paid."
)

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_UNITS = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", _SECOND, "s"))
_KILO = 1_000

_ROUNDS_TO_A_MINUTE = 59_950
_ROUNDS_TO_A_DOLLAR = Decimal("0.99995")

_UNKNOWN = "\N{EN DASH}"

_MAIN_FIELDS = ("command", "path", "file_path", "question", "title", "pattern", "url", "query")
"""Fields of a tool's input that summarize the call, the most specific first."""


def format_duration(milliseconds: float | None) -> str:
    """`340 ms`, `12.3 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`; a dash if it is unknown."""
    if milliseconds is None:
        return _UNKNOWN
    milliseconds = round(milliseconds)
    if milliseconds < _SECOND:
        return f"{milliseconds} ms"
    if milliseconds < _ROUNDS_TO_A_MINUTE:
        return f"{milliseconds / _SECOND:.1f} s"
    milliseconds = max(milliseconds, _MINUTE)
    unit, name, part, part_name = next(u for u in _UNITS if milliseconds >= u[0])
    whole, rest = divmod(milliseconds, unit)
    parts = rest // part
    return f"{whole} {name} {parts} {part_name}" if parts else f"{whole} {name}"


def format_money(usd: Decimal | None) -> str:
    """Cents for a dollar or more, four decimals below, six where four would all be zero."""
    if usd is None:
        return _UNKNOWN
    if usd == 0 or usd >= _ROUNDS_TO_A_DOLLAR:
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if usd >= Decimal("0.0001") else f"${usd:.6f}"


def format_number(value: int) -> str:
    """With commas between thousands."""
    return f"{value:,}"


def format_size(octets: int) -> str:
    """`812 B`, `4.1 kB`, `2.3 MB`."""
    amount = float(octets)
    for unit in ("B", "kB", "MB"):
        if amount < _KILO:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KILO
    return f"{amount:.1f} GB"


def format_time(at: datetime) -> str:
    """`21 Nov 2026, 04:16:56 UTC`; stored times are UTC."""
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def count_of(count: int, one: str, many: str | None = None) -> str:
    """`1 call`, `2 calls`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def code_to_words(code: str) -> str:
    """`max_turns` as `max turns`."""
    return code.replace("_", " ")


def shorten(text: str, length: int) -> str:
    """The first `length` characters, with an ellipsis if some are left out."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def format_json(value: object) -> str:
    """Indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def format_input(excerpt: Excerpt) -> str:
    """A tool's input: the text of a single field as it is, several fields as JSON."""
    value = _parse_start(excerpt.text)
    if isinstance(value, dict) and len(value) == 1:
        [only] = value.values()
        value = only if isinstance(only, str) else value
    return value if isinstance(value, str) else format_json(value)


def summarize_input(call: ToolCallSummary) -> str:
    """The main field of a tool's input, on one line."""
    value = _parse_start(call.input.text)
    if isinstance(value, dict):
        texts = (value[name] for name in _MAIN_FIELDS if isinstance(value.get(name), str))
        value = next(texts, value)
    return " ".join(as_text(value).split())


def _parse_start(text: str) -> Any:
    """The value of JSON text that may end early; the text itself if it can't be parsed."""
    for end in ("", '"}'):
        with suppress(ValueError):
            return json.loads(text + end)
    return text


def describe_span(span: TimelineSpan) -> str:
    """The tooltip of a bar of the timeline."""
    took = format_duration((span.ended_at - span.started_at).total_seconds() * 1000)
    label = code_to_words(span.label) if span.lane == "people" else span.label
    turn = f"turn {span.turn}, " if span.turn is not None and span.count == 1 else ""
    several = f"{span.count} steps, " if span.count > 1 else ""
    return f"{label}: {turn}{several}{took}{', failed' if span.is_error else ''}"


def describe_turns(first: int, last: int) -> str:
    """`turn 3`, or `turns 4 to 6`."""
    return f"turn {first}" if first == last else f"turns {first} to {last}"


_DECISIONS = {
    "approve": "approved",
    "deny": "denied",
    "edit": "approved with changes",
    "finish": "finished",
    "happened": "confirmed",
    "not_happened": "run again",
    "skip": "skipped",
}


def describe_answer(request: InputRequest) -> str:
    """How a person answered a request; its status if no person did."""
    if request.answered_by is None:
        return request.status
    if request.kind in QUESTIONS and request.decision != "deny":
        return "answered"
    return _DECISIONS.get(request.decision or "", "answered")
