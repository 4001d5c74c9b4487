"""The content of a report: stored once as JSON, rendered to any format at any time.

Stored reports must still parse: add fields with defaults, never rename one. A reader that is older
than a report ignores fields it does not know.

Everything is bounded, so that the report of a long execution still opens: a text is an excerpt with
the length of the whole, a list keeps its first and last entries, and `omitted` counts the entries
between them. What is left out is still in the record, where `message_seq` finds it.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python

from domain.executions.report_facts import (
    Artifact,
    Cost,
    Counts,
    Coverage,
    Ending,
    Excerpt,
    InputRequest,
    ModelCall,
    Subject,
    Subtask,
    TimelineSpan,
    TokenCounts,
    ToolCallSummary,
    TurnUsage,
)

SCHEMA_VERSION = 1

BlockKind = Literal["text", "thinking", "tool_use", "tool_result", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOutcome(Ending):
    """The ending and the result: the final text, from message `message_seq`.

    `output` is the structured result; if it is too long to repeat, it is None and
    `is_output_left_out` is set.
    """

    text: Excerpt | None = None
    output: Any = None
    is_output_left_out: bool = False
    message_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptBlock:
    """One content block. A tool block only names its call; `tool_calls` has the details."""

    kind: BlockKind
    text: Excerpt | None = None
    name: str | None = None
    tool_use_id: str | None = None
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptMessage:
    """One message of the transcript; `left_out_blocks` more blocks are only in the record."""

    seq: int
    role: str
    at: datetime
    stop_reason: str | None
    blocks: tuple[TranscriptBlock, ...]
    left_out_blocks: int = 0

    @property
    def has_only_results(self) -> bool:
        """Whether it only returns the results of tool calls to the model."""
        return bool(self.blocks) and all(block.kind == "tool_result" for block in self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedItem:
    """Something that was added, changed or removed.

    `before` and `after` are None where there was or is no value, and for lines of text that are
    too long to repeat. `path` locates a value within its item.
    """

    name: str
    path: str = ""
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is new, changed and gone in one thing; `left_out` more changes are not listed."""

    new: tuple[ChangedItem, ...] = ()
    changed: tuple[ChangedItem, ...] = ()
    gone: tuple[ChangedItem, ...] = ()
    left_out: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.new or self.changed or self.gone or self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changed since the last completed scheduled run of the same task.

    `result` compares structured results item by item, or two texts line by line (`of`). `of` is
    `nothing` if one of the results could not be compared.
    """

    execution_id: UUID
    report_id: UUID | None
    completed_at: datetime | None
    of: Literal["items", "lines", "nothing"]
    result: Comparison
    files: Comparison

    @property
    def is_empty(self) -> bool:
        """Whether nothing that could be compared differs."""
        return self.result.is_empty and self.files.is_empty


class ReportContent(BaseModel):
    """A report. Superseded steps count in the cost and appear nowhere else."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    title: str
    generated_at: datetime
    duration_ms: int
    covered: Coverage
    subject: Subject
    outcome: ReportOutcome
    summary: str | None
    prompt: Excerpt | None
    transcript: tuple[TranscriptMessage, ...]
    tool_calls: tuple[ToolCallSummary, ...]
    model_calls: tuple[ModelCall, ...]
    input_requests: tuple[InputRequest, ...]
    subtasks: tuple[Subtask, ...]
    artifacts: tuple[Artifact, ...]
    difference: Difference | None = None
    timeline: tuple[TimelineSpan, ...]
    spending: tuple[TurnUsage, ...] = ()
    turns: int
    tokens: TokenCounts
    cost: Cost
    counts: Counts
    omitted: Counts

    @property
    def started_at(self) -> datetime:
        """When the execution started; when it was created, if it did not start."""
        return self.subject.started_at or self.subject.created_at

    @property
    def ended_at(self) -> datetime:
        """When the execution ended."""
        return self.started_at + timedelta(milliseconds=self.duration_ms)

    def to_json(self) -> dict[str, Any]:
        """The content as it is stored: amounts are numbers, where pydantic would write strings."""
        stored: dict[str, Any] = json.loads(json.dumps(self.model_dump(), default=to_json_value))
        return stored


def to_json_value(value: object) -> Any:
    """A value that JSON does not have, as it is stored: an amount is a number."""
    return float(value) if isinstance(value, Decimal) else to_jsonable_python(value)
