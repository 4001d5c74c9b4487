"""What the record gives for a report, before it is put into words: `persistence` to `reports`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

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
    TurnUse,
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
class KeptFile:
    """A file by which two runs are compared; of several with one name the last one counts."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The last scheduled run of the same task that completed before this one began.

    `files` are its kept files and `files_now` those of this one.
    """

    execution_id: UUID
    report_id: UUID | None
    completed_at: datetime | None
    result: Mapping[str, Any] | None
    files: Sequence[KeptFile]
    files_now: Sequence[KeptFile]


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
    earlier: EarlierRun | None
    spans: Sequence[Span]
    spending: Sequence[TurnUse]
    turns: int
    tokens: Tokens
    cost: Cost
    counts: Counts
