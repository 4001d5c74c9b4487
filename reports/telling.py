"""Parts of a report as a person reads them, the same in every format."""

import json
from contextlib import suppress
from typing import Any

from domain.report_facts import Excerpt, InputRequest, TimelineSpan, ToolCallSummary
from reports import wording
from reports.model import TranscriptMessage

_TELLING = ("command", "path", "file_path", "question", "title", "pattern", "url", "query")
"""Inputs that say by themselves what a call is about, the most telling first."""


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


def tooltip(span: TimelineSpan) -> str:
    """What a bar of the timeline says when it is pointed at."""
    took = wording.duration((span.ended_at - span.started_at).total_seconds() * 1000)
    label = wording.spoken(span.label) if span.lane == "people" else span.label
    turn = f"turn {span.turn}, " if span.turn is not None and span.count == 1 else ""
    several = f"{span.count} steps, " if span.count > 1 else ""
    return f"{label}: {turn}{several}{took}{', failed' if span.is_error else ''}"


def after(milliseconds: float) -> str:
    """How long after the beginning; clocks of two machines may disagree by a little."""
    return wording.duration(max(milliseconds, 0))


def brief(call: ToolCallSummary) -> str:
    """What a call is about, in one line."""
    value = _parsed(call.input.text)
    if isinstance(value, dict):
        telling = (value[key] for key in _TELLING if isinstance(value.get(key), str))
        value = next(telling, value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def settled(request: InputRequest) -> str:
    """Who answered a request, how, and how long it waited; who did is said apart."""
    if request.answered_by is None:
        return request.status
    if request.decision == "deny":
        return "denied"
    is_yes = request.decision == "approve" and request.kind != "question"
    return "approved" if is_yes else "answered"


def is_results(message: TranscriptMessage) -> bool:
    """Whether it only hands results to the model, which stand with their calls."""
    return bool(message.blocks) and all(block.kind == "tool_result" for block in message.blocks)
