"""From what the record gives to what a report says. Pure: no database, no clock."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from domain.report_facts import Counts, Excerpt, MessageSource, ReportSource
from domain.text import clean
from reports.difference import difference
from reports.model import (
    Difference,
    ReportContent,
    ReportOutcome,
    TranscriptBlock,
    TranscriptMessage,
)
from reports.spending import columns
from reports.timeline import folded

ANSWER_CHARS = 20_000
"""Of the final text: what a model writes in one go fits (some 5,000 tokens; chosen)."""

PROMPT_CHARS = 4_000
"""Of the prompt: a page and a half (chosen)."""

MESSAGE_CHARS = 4_000
"""Of all texts of one message: with 120 messages kept, half a megabyte at most (chosen)."""

OUTPUT_BYTES = 50_000
"""Of the structured result: a longer one is data, and in `result_data` (chosen)."""

MAX_BLOCKS = 40
"""Of one message: more than the model's calls in a turn ever are (chosen)."""

_TEXT_FIELDS = {"text": "text", "thinking": "thinking"}
_NAMED = ("tool_use", "tool_result")


def compose(source: ReportSource) -> ReportContent:
    """The report of this source."""
    transcript = tuple(message(stored) for stored in source.messages)
    began = source.subject.started_at or source.subject.created_at
    return ReportContent(
        title=clean(source.title),
        generated_at=source.read_at,
        duration_ms=max(round((source.read_at - began).total_seconds() * 1000), 0),
        covered=source.covered,
        subject=source.subject,
        outcome=_outcome(source),
        summary=source.summary,
        prompt=None if source.prompt is None else excerpt(source.prompt, PROMPT_CHARS),
        transcript=transcript,
        tool_calls=tuple(source.tool_calls),
        model_calls=tuple(source.model_calls),
        input_requests=tuple(source.input_requests),
        subtasks=tuple(source.subtasks),
        artifacts=tuple(source.artifacts),
        difference=_difference(source),
        timeline=tuple(folded(source.spans)),
        spending=columns(source.spending),
        turns=source.turns,
        tokens=source.tokens,
        cost=source.cost,
        counts=source.counts,
        omitted=_omitted(source),
    )


def excerpt(text: str, length: int) -> Excerpt:
    """The beginning of a text, made fit for UTF-8."""
    text = clean(text)
    return Excerpt(text=text[:length], chars=len(text))


def _outcome(source: ReportSource) -> ReportOutcome:
    """The ending, and the answer with the message it stands in: the model's last one."""
    ending, result = source.ending, source.result
    if result is None:
        return ReportOutcome(**asdict(ending))
    output = result.get("output")
    too_long = output is not None and len(json.dumps(output)) > OUTPUT_BYTES
    answers = [m.seq for m in source.messages if m.role == "assistant"]
    return ReportOutcome(
        **asdict(ending),
        text=excerpt(str(result.get("text", "")), ANSWER_CHARS),
        output=None if too_long else output,
        is_output_left_out=too_long,
        message_seq=answers[-1] if answers else None,
    )


def _difference(source: ReportSource) -> Difference | None:
    """What changed since the run before; a run that did not come to its end says nothing of it."""
    if source.previous is None or source.ending.status != "completed":
        return None
    return difference(source.previous, source.result)


def _omitted(source: ReportSource) -> Counts:
    """How many of each list there are beyond those that are here."""
    return Counts(
        **{
            name: total - len(getattr(source, name))
            for name, total in asdict(source.counts).items()
        }
    )


def message(stored: MessageSource) -> TranscriptMessage:
    """A stored message, its blocks shortened to one message's share of the report."""
    blocks: Sequence[Mapping[str, Any]] = []
    room = MESSAGE_CHARS
    shown = []
    if stored.content is not None:
        blocks = json.loads(stored.content)
    for raw in blocks[:MAX_BLOCKS]:
        shown.append(block(raw, room))
        room -= len(shown[-1].text.text) if shown[-1].text else 0
    if stored.content is None:
        shown.append(TranscriptBlock(kind="other", text=Excerpt(text="", chars=stored.chars)))
    return TranscriptMessage(
        seq=stored.seq,
        role=stored.role,
        at=stored.at,
        stop_reason=stored.stop_reason,
        blocks=tuple(shown),
        left_out_blocks=max(len(blocks) - MAX_BLOCKS, 0),
    )


def block(raw: Mapping[str, Any], room: int) -> TranscriptBlock:
    """One content block, with at most `room` characters of its text."""
    kind = raw.get("type")
    if kind in _TEXT_FIELDS:
        text = str(raw.get(_TEXT_FIELDS[kind]) or "")
        return TranscriptBlock(kind=kind, text=excerpt(text, max(room, 0)))
    if kind in _NAMED:
        used = str(raw.get("id") or raw.get("tool_use_id") or "")
        return TranscriptBlock(
            kind=kind,
            name=_name(raw.get("name")),
            tool_use_id=clean(used),
            is_error=bool(raw.get("is_error")),
        )
    return TranscriptBlock(kind="other", name=_name(kind))


def _name(value: object) -> str | None:
    return None if value is None else clean(str(value))[:200]
