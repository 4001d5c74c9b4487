"""Transcripts on pages: the messages of an execution or a session, with their tool calls.

A page shows the entries that no longer change, and then those that still do: a live update replaces
only the latter.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.executions.schemas import render_tool_call
from api.web.tool_inputs import InputPart, describe_edit, describe_input
from domain.model.compaction import is_summary
from domain.model.json_values import make_encodable
from domain.text import as_text, strip_terminal_codes
from persistence.tables.sessions import MessageRow, ToolCallRow
from reports.phrases import shorten

SHOWN_OUTPUT = 20_000
"""Characters of the output of a tool (chosen: 300 lines)."""

BRIEF = 120
"""Characters of an input on the line of its call; the page shortens it to the width."""

_MAIN_FIELDS = (
    "command", "path", "question", "plan", "title", "pattern", "url", "query", "prompt"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallView:
    """A tool call: a line, and what is folded below it."""

    row: ToolCallRow
    brief: str
    parts: Sequence[InputPart]
    approved_parts: Sequence[InputPart]
    output: str
    left_out: int

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.row.completed_at is not None

    @property
    def took_ms(self) -> float | None:
        """The time from its start to its end."""
        if self.row.started_at is None or self.row.completed_at is None:
            return None
        return (self.row.completed_at - self.row.started_at).total_seconds() * 1000


@dataclass(frozen=True, slots=True)
class EntryPart:
    """A part of a message. `kind` is `text`, `thinking`, `summary`, `call` or `other`."""

    kind: str
    text: str = ""
    call: CallView | None = None


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """A message with its tool calls."""

    seq: int
    role: str
    at: datetime
    parts: Sequence[EntryPart]

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it changes any more."""
        return all(part.call is None or part.call.is_settled for part in self.parts)


def list_tool_use_ids(rows: Sequence[MessageRow]) -> list[str]:
    """The ids of the tool calls that these messages request."""
    return [
        str(block.get("id"))
        for row in rows
        if row.role == "assistant"
        for block in _blocks(row)
        if block.get("type") == "tool_use"
    ]


def make_entries(rows: Sequence[MessageRow], calls: Sequence[ToolCallRow]) -> list[TranscriptEntry]:
    """The messages in order, without those that only return results of tools."""
    by_id = {(call.execution_id, call.tool_use_id): call for call in calls}
    entries = []
    for row in rows:
        parts = [part for block in _blocks(row) for part in _make_parts(row, block, by_id)]
        if parts:
            entries.append(TranscriptEntry(row.seq, row.role, row.created_at, parts))
    return entries


def _blocks(row: MessageRow) -> list[dict[str, Any]]:
    content = make_encodable(json.loads(row.content))
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)]


def _make_parts(
    row: MessageRow, block: Mapping[str, Any], calls: Mapping[Any, ToolCallRow]
) -> Iterator[EntryPart]:
    kind = block.get("type")
    if kind in {"text", "thinking"}:
        if text := str(block.get(kind) or "").strip():
            yield EntryPart(str(kind), text)
    elif kind == "tool_use":
        call = calls.get((row.execution_id, block.get("id")))
        if call is None:
            yield EntryPart("other", f"A call of {block.get('name')}.")
        else:
            yield EntryPart("call", call=make_call(call))
    elif is_summary(block):
        yield EntryPart("summary", str(block["content"]))
    elif kind not in {"tool_result", "redacted_thinking"}:
        yield EntryPart("other", f"A part of the kind {kind}.")


def make_call(row: ToolCallRow) -> CallView:
    """A tool call as pages show it."""
    read = render_tool_call(row)
    output = strip_terminal_codes(row.output or "")
    return CallView(
        row=row,
        brief=summarize_input(read.input if read.approved_input is None else read.approved_input),
        parts=describe_input(read.input, row.name),
        approved_parts=[]
        if read.approved_input is None
        else describe_edit(read.input, read.approved_input),
        output=output[:SHOWN_OUTPUT],
        left_out=max(len(output) - SHOWN_OUTPUT, 0),
    )


def summarize_input(value: Any) -> str:
    """The main field of an input, on one line."""
    if isinstance(value, Mapping):
        texts = [value[name] for name in _MAIN_FIELDS if isinstance(value.get(name), str)]
        value = texts[0] if texts else value
    return shorten(" ".join(as_text(value).split()), BRIEF)


def split_settled(
    entries: Sequence[TranscriptEntry], *, is_live: bool
) -> tuple[list[TranscriptEntry], list[TranscriptEntry]]:
    """The entries that no longer change, and the rest; without updates, all belong to the first."""
    if not is_live:
        return list(entries), []
    changing = (i for i, entry in enumerate(entries) if not entry.is_settled)
    first = next(changing, len(entries))
    return list(entries[:first]), list(entries[first:])
