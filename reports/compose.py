"""Turn the facts of an execution into the content of its report. Pure: no database, no clock."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from domain.executions.report_facts import (
    Counts,
    Excerpt,
    MessageSource,
    ReportSource,
    TokenCounts,
    TurnUsage,
)
from domain.text import clean
from reports.difference import compare_runs
from reports.model import (
    Difference,
    ReportContent,
    ReportOutcome,
    TranscriptBlock,
    TranscriptMessage,
)
from reports.timeline import join_spans

ANSWER_CHARS = 20_000
"""Of the final text: enough for what a model writes in one message (some 5,000 tokens; chosen)."""

PROMPT_CHARS = 4_000
"""Of the prompt: a page and a half (chosen)."""

MESSAGE_CHARS = 4_000
"""Of all texts of one message: with 120 messages, half a megabyte at most (chosen)."""

OUTPUT_BYTES = 50_000
"""Of the structured result: a longer one is read from `result_data` (chosen)."""

MAX_BLOCKS = 40
"""Of one message: more than a model requests calls in a turn (chosen)."""

MAX_COLUMNS = 60
"""Of the charts by turn: on a phone each is still five pixels wide (chosen)."""

_TEXT_KINDS = ("text", "thinking")
_TOOL_KINDS = ("tool_use", "tool_result")


def compose(source: ReportSource) -> ReportContent:
    """The content of the report."""
    started_at = source.subject.started_at or source.subject.created_at
    # The fields with the same names in both are stored as they are.
    facts = {field.name: getattr(source, field.name) for field in fields(source)}
    made = {
        "title": clean(source.title),
        "generated_at": source.read_at,
        "duration_ms": max(round((source.ended_at - started_at).total_seconds() * 1000), 0),
        "outcome": _outcome(source),
        "prompt": None if source.prompt is None else Excerpt.of(source.prompt, PROMPT_CHARS),
        "transcript": tuple(map(_message, source.messages)),
        "difference": _difference(source),
        "timeline": tuple(join_spans(source.spans)),
        "spending": join_turns(source.spending),
        "omitted": _count_omitted(source),
    }
    return ReportContent.model_validate(facts | made)


def compose_json(source: ReportSource) -> dict[str, Any]:
    """The content of the report as it is stored."""
    return compose(source).to_json()


def _outcome(source: ReportSource) -> ReportOutcome:
    """The ending, and the final text with the number of its message, the model's last one."""
    ending, result = asdict(source.ending), source.result
    if result is None:
        return ReportOutcome(**ending)
    output = result.get("output")
    too_long = output is not None and len(json.dumps(output)) > OUTPUT_BYTES
    answers = [m.seq for m in source.messages if m.role == "assistant"]
    return ReportOutcome(
        **ending,
        text=Excerpt.of(str(result.get("text", "")), ANSWER_CHARS),
        output=None if too_long else output,
        is_output_left_out=too_long,
        message_seq=answers[-1] if answers else None,
    )


def _difference(source: ReportSource) -> Difference | None:
    """What changed since the previous run; None for a run that did not complete."""
    if source.previous is None or source.ending.status != "completed":
        return None
    return compare_runs(source.previous, source.result)


def _count_omitted(source: ReportSource) -> Counts:
    """How many entries of each list the source leaves out."""
    counts = asdict(source.counts).items()
    return Counts(**{name: total - len(getattr(source, name)) for name, total in counts})


def join_turns(usages: Sequence[TurnUsage]) -> tuple[TurnUsage, ...]:
    """The turns in order, joined in groups of equal size until they fit `MAX_COLUMNS`."""
    size = -(-len(usages) // MAX_COLUMNS) or 1
    return tuple(_join_group(usages[start : start + size]) for start in range(0, len(usages), size))


def _join_group(group: Sequence[TurnUsage]) -> TurnUsage:
    if len(group) == 1:
        return group[0]
    kinds = asdict(group[0].tokens)
    tokens = {kind: sum(getattr(usage.tokens, kind) for usage in group) for kind in kinds}
    return TurnUsage(
        first=group[0].first,
        last=group[-1].last,
        tokens=TokenCounts(**tokens),
        cost_usd=sum((usage.cost_usd for usage in group), start=group[0].cost_usd * 0),
        message_seq=next((usage.message_seq for usage in group if usage.message_seq), None),
    )


def _message(source: MessageSource) -> TranscriptMessage:
    """A message; its blocks share `MESSAGE_CHARS`."""
    raw: Sequence[Mapping[str, Any]] = []
    blocks = []
    room = MESSAGE_CHARS
    if source.content is None:
        blocks.append(TranscriptBlock(kind="other", text=Excerpt(text="", chars=source.chars)))
    else:
        raw = json.loads(source.content)
    for content in raw[:MAX_BLOCKS]:
        block = _block(content, room)
        blocks.append(block)
        room -= len(block.text.text) if block.text else 0
    return TranscriptMessage(
        seq=source.seq,
        role=source.role,
        at=source.at,
        stop_reason=source.stop_reason,
        blocks=tuple(blocks),
        left_out_blocks=max(len(raw) - MAX_BLOCKS, 0),
    )


def _block(content: Mapping[str, Any], room: int) -> TranscriptBlock:
    """One content block, with at most `room` characters of its text."""
    kind = content.get("type")
    if kind in _TEXT_KINDS:
        text = str(content.get(kind) or "")
        return TranscriptBlock(kind=kind, text=Excerpt.of(text, max(room, 0)))
    if kind in _TOOL_KINDS:
        tool_use_id = str(content.get("id") or content.get("tool_use_id") or "")
        return TranscriptBlock(
            kind=kind,
            name=_name(content.get("name")),
            tool_use_id=clean(tool_use_id),
            is_error=bool(content.get("is_error")),
        )
    return TranscriptBlock(kind="other", name=_name(kind))


def _name(value: object) -> str | None:
    return None if value is None else clean(str(value))[:200]
