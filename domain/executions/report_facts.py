"""What the record of an execution gives for its report: `persistence` reads it, `reports` shows it.

Most of these types are also stored, as parts of a report (`reports.model`). Stored reports must
still parse: add fields with defaults, never rename one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from domain.text import clean

EndStatus = Literal["completed", "failed", "cancelled"]
Lane = Literal["model", "tools", "subtasks", "people"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The beginning of a text; `chars` is the length of the whole."""

    text: str
    chars: int

    @classmethod
    def of(cls, text: str, length: int) -> "Excerpt":
        """The first `length` characters of a text, valid as UTF-8."""
        text = clean(text)
        return cls(text=text[:length], chars=len(text))

    @property
    def left_out(self) -> int:
        """How many characters are not in `text`."""
        return max(self.chars - len(self.text), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which execution the report is about, and what it ran on."""

    execution_id: UUID
    task_id: UUID | None
    task_version: int | None
    session_id: UUID | None
    parent_execution_id: UUID | None
    agent_id: str | None
    trigger_type: str
    model: str | None
    created_at: datetime
    started_at: datetime | None
    is_scripted: bool = False
    """Whether the scripted model answered, which costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an execution ended. `message` is the error message or the reason of the cancel."""

    status: EndStatus
    error_code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens by kind; `input` counts the uncached ones."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        """The sum of all kinds."""
        return self.input + self.output + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallSummary:
    """A tool call that the model requested in message `message_seq`, and its outcome.

    `input` is what the tool received; `was_edited` if a person changed what the model wrote.
    """

    id: UUID
    turn: int
    tool_use_id: str
    name: str
    status: str
    reason: str | None
    is_error: bool
    input: Excerpt
    was_edited: bool
    output: Excerpt | None
    output_artifact_id: UUID | None
    child_execution_id: UUID | None
    message_seq: int | None
    started_at: datetime
    duration_ms: int | None
    child_execution_ids: Sequence[UUID] = ()
    """The subtasks of a call; reports of earlier versions have only `child_execution_id`."""
    connections: str | None = None
    """What the call connected to, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One try of one turn; the model's answer is message `message_seq`."""

    turn: int
    try_number: int
    model: str
    status: str
    stop_reason: str | None
    error: Excerpt | None
    tokens: TokenCounts
    cost_usd: Decimal | None
    is_cost_estimated: bool
    message_seq: int | None
    started_at: datetime
    first_token_ms: int | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRequest:
    """A question to a person, caused by message `message_seq`, and the answer."""

    id: UUID
    kind: str
    title: Excerpt
    status: str
    tool_call_id: UUID | None
    decision: str | None
    answer: Excerpt | None
    answered_by: str | None
    asked_at: datetime
    answered_at: datetime | None
    waited_ms: int
    message_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtask:
    """An execution that this one started with a call in message `message_seq`."""

    execution_id: UUID
    title: str
    status: str
    cost_usd: Decimal
    duration_ms: int | None
    message_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a call in message `message_seq` saved.

    `kind`: `artifact`, or `tool_output` for an output that was too long for its message.
    """

    id: UUID
    name: str
    kind: str
    media_type: str
    size_bytes: int
    sha256: str | None = None
    message_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineSpan:
    """A stretch of time on the timeline; `count` neighbours that are too close are one span."""

    lane: Lane
    label: str
    turn: int | None
    started_at: datetime
    ended_at: datetime
    is_error: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnUsage:
    """What the turns from `first` to `last` used, retries included; answered in `message_seq`."""

    first: int
    last: int
    tokens: TokenCounts
    cost_usd: Decimal
    message_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """The calls of one model, and their cost."""

    model: str
    calls: int
    tokens: TokenCounts
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the execution cost.

    `total_usd` includes the estimated and the superseded part, but not the cost of subtasks.
    Estimated: calls whose answer a crash lost. Superseded: steps that a reset discarded.
    """

    total_usd: Decimal
    budget_usd: Decimal | None
    estimated_usd: Decimal
    superseded_usd: Decimal
    subtasks_usd: Decimal
    by_model: tuple[ModelCost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many entries each list has, or how many of them the report leaves out."""

    messages: int = 0
    tool_calls: int = 0
    model_calls: int = 0
    input_requests: int = 0
    subtasks: int = 0
    artifacts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The last step that a report covers: an execution that continued gets a new report."""

    epoch: int
    last_message_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSource:
    """A message as it is stored; `content` is None if it is too long to read here."""

    seq: int
    role: str
    at: datetime
    stop_reason: str | None
    content: str | None
    chars: int


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file to compare two runs by; of several files with one name the last one counts."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousRun:
    """The last scheduled run of the same task that completed before this one started.

    `files` are the files of that run, `current_files` those of this one.
    """

    execution_id: UUID
    report_id: UUID | None
    completed_at: datetime | None
    result: Mapping[str, Any] | None
    files: Sequence[FileVersion]
    current_files: Sequence[FileVersion]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource:
    """The rows of one execution, bounded. `counts` counts all rows, also those not included."""

    title: str
    read_at: datetime
    ended_at: datetime
    """`read_at`, unless the execution ended earlier."""
    covered: Coverage
    subject: Subject
    ending: Ending
    summary: str | None
    prompt: str | None
    result: Mapping[str, Any] | None
    messages: Sequence[MessageSource]
    tool_calls: Sequence[ToolCallSummary]
    model_calls: Sequence[ModelCall]
    input_requests: Sequence[InputRequest]
    subtasks: Sequence[Subtask]
    artifacts: Sequence[Artifact]
    previous: PreviousRun | None
    spans: Sequence[TimelineSpan]
    spending: Sequence[TurnUsage]
    turns: int
    tokens: TokenCounts
    cost: Cost
    counts: Counts
