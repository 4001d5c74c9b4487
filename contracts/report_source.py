"""What the record gives for a report, before it is put into words: `persistence` to `reports`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.reports import (
    Artifact,
    Cost,
    Counts,
    Covered,
    Ending,
    InputRequest,
    ModelCall,
    Span,
    Subject,
    Subtask,
    Tokens,
    ToolCall,
)


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A message as it is stored; `content` is absent where it is too long to be read here."""

    seq: int
    role: str
    at: datetime
    stop_reason: str | None
    content: str | None
    chars: int


@dataclass(frozen=True, slots=True)
class ReportSource:
    """The rows of one execution, bounded. `counts` are of what there is, not of what is here."""

    title: str
    read_at: datetime
    covered: Covered
    subject: Subject
    ending: Ending
    summary: str | None
    prompt: str | None
    result: Mapping[str, Any] | None
    messages: Sequence[StoredContent]
    tool_calls: Sequence[ToolCall]
    model_calls: Sequence[ModelCall]
    input_requests: Sequence[InputRequest]
    subtasks: Sequence[Subtask]
    artifacts: Sequence[Artifact]
    spans: Sequence[Span]
    turns: int
    tokens: Tokens
    cost: Cost
    counts: Counts
