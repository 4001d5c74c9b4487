"""What a report says: typed content, stored once as JSON, rendered to any format at any time.

It never enters Temporal. Stored reports must still parse: add fields with defaults, never rename
one; a reader that is older than a report ignores what it does not know.

Everything is bounded, so that the report of a day's work can still be opened: texts are excerpts
that say how long the whole is, lists keep their beginning and their end, and `omitted` says how
many stand between. What is left out stays in the record; `message_seq` is where to look it up.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PlainSerializer

SCHEMA_VERSION = 1

Usd = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
Ended = Literal["completed", "failed", "cancelled"]
BlockKind = Literal["text", "thinking", "tool_use", "tool_result", "other"]
Lane = Literal["model", "tools", "subtasks", "people"]


class Part(BaseModel):
    """Base of all parts: frozen, and open to fields of a later version."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Excerpt(Part):
    """The beginning of a text; `chars` is the length of the whole."""

    text: str
    chars: int

    @property
    def left_out(self) -> int:
        """How many characters are not shown."""
        return max(self.chars - len(self.text), 0)


class Subject(Part):
    """Which execution this is about, and what it ran on."""

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


class Ending(Part):
    """How an execution ended; `message` is the failure's or the canceller's sentence."""

    status: Ended
    error_code: str | None = None
    message: str | None = None


class Outcome(Ending):
    """The ending with what came of it: the final text of message `message_seq`.

    `output` is the structured result; one too long to repeat is absent and `is_output_left_out`.
    """

    text: Excerpt | None = None
    output: Any = None
    is_output_left_out: bool = False
    message_seq: int | None = None


class Block(Part):
    """One content block. Tool blocks only name their call: what it did stands in `tool_calls`."""

    kind: BlockKind
    text: Excerpt | None = None
    name: str | None = None
    tool_use_id: str | None = None
    is_error: bool = False


class Message(Part):
    """One message of the transcript; `left_out_blocks` more blocks are only in the record."""

    seq: int
    role: str
    at: datetime
    stop_reason: str | None
    blocks: tuple[Block, ...]
    left_out_blocks: int = 0


class ToolCall(Part):
    """What the model asked for in message `message_seq`, and what came of it.

    `input` is what ran; `was_edited` says that a person changed what the model wrote.
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


class Tokens(Part):
    """Tokens by kind; `input` are the uncached ones."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.input + self.output + self.cache_read + self.cache_write


class ModelCall(Part):
    """One try of one turn; its answer is message `message_seq`."""

    turn: int
    try_number: int
    model: str
    status: str
    stop_reason: str | None
    error: Excerpt | None
    tokens: Tokens
    cost_usd: Usd | None
    is_cost_estimated: bool
    message_seq: int | None
    started_at: datetime
    first_token_ms: int | None
    duration_ms: int | None


class InputRequest(Part):
    """What a person was asked in message `message_seq`, and what they said."""

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


class Subtask(Part):
    """An execution that this one started, by a call in message `message_seq`."""

    execution_id: UUID
    title: str
    status: str
    cost_usd: Usd
    duration_ms: int | None
    message_seq: int | None = None


class Artifact(Part):
    """A file that was kept, by a call in message `message_seq`.

    `kind`: `artifact`, or `tool_output` when it was too long to show.
    """

    id: UUID
    name: str
    kind: str
    media_type: str
    size_bytes: int
    sha256: str | None = None
    message_seq: int | None = None


class Span(Part):
    """Something that took time. Neighbours too close to be told apart are one, of `count`."""

    lane: Lane
    label: str
    turn: int | None
    started_at: datetime
    ended_at: datetime
    is_error: bool = False
    count: int = 1


class TurnUse(Part):
    """What the turns from `first` to `last` used, all of their tries; answered in `message_seq`."""

    first: int
    last: int
    tokens: Tokens
    cost_usd: Usd
    message_seq: int | None = None


class ModelCost(Part):
    """What one model did and cost."""

    model: str
    calls: int
    tokens: Tokens
    cost_usd: Usd


class Cost(Part):
    """What was spent. `total_usd` holds the estimated and the superseded part, not the subtasks'.

    Estimated: calls whose answer a crash took. Superseded: steps an operator's reset set aside.
    """

    total_usd: Usd
    budget_usd: Usd | None
    estimated_usd: Usd
    superseded_usd: Usd
    subtasks_usd: Usd
    by_model: tuple[ModelCost, ...]


class Counts(Part):
    """How many there are of each list, or how many of them the report leaves out."""

    messages: int = 0
    tool_calls: int = 0
    model_calls: int = 0
    input_requests: int = 0
    subtasks: int = 0
    artifacts: int = 0


class Item(Part):
    """Something that the result has, had, or has otherwise now.

    `before` and `after` are absent where there was or is nothing, or where the value is a text too
    long to repeat. `path` says where a value stands in its item.
    """

    name: str
    path: str = ""
    before: str | None = None
    after: str | None = None


class Comparison(Part):
    """What is new, changed and gone in one thing; `left_out` more are not listed."""

    new: tuple[Item, ...] = ()
    changed: tuple[Item, ...] = ()
    gone: tuple[Item, ...] = ()
    left_out: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.new or self.changed or self.gone or self.left_out)


class Difference(Part):
    """What changed since the last completed scheduled run of the same task.

    `result` compares structured outputs item by item, or the lines of two texts (`of`). `of` is
    `nothing` where one of them could not be compared.
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


class Covered(Part):
    """Up to where the report tells the story: an execution that went on gets a new report."""

    epoch: int
    last_message_seq: int


class ReportContent(Part):
    """A report. Superseded steps are in the cost and nowhere else."""

    schema_version: int = SCHEMA_VERSION
    title: str
    generated_at: datetime
    duration_ms: int
    covered: Covered
    subject: Subject
    outcome: Outcome
    summary: str | None
    prompt: Excerpt | None
    transcript: tuple[Message, ...]
    tool_calls: tuple[ToolCall, ...]
    model_calls: tuple[ModelCall, ...]
    input_requests: tuple[InputRequest, ...]
    subtasks: tuple[Subtask, ...]
    artifacts: tuple[Artifact, ...]
    difference: Difference | None = None
    timeline: tuple[Span, ...]
    spending: tuple[TurnUse, ...] = ()
    turns: int
    tokens: Tokens
    cost: Cost
    counts: Counts
    omitted: Counts
