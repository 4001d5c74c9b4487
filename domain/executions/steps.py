"""The values of the record: what one step writes, and what an attempt reads to continue.

The loop (`agent/`) makes steps; `persistence/executions/step_log.py` writes each step in one
transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.agents.agent import AgentExecutor
from domain.errors import ErrorCode
from domain.executions.events import Event
from domain.executions.limits import Limits
from domain.executions.states import ExecutionStatus
from domain.files.artifacts import NewArtifact
from domain.mcp.remote_waits import RemoteState
from domain.model.calls import Prefix, Usage
from domain.people.requests import InputPolicy, RequestKind
from domain.rules.permissions import Permissions
from domain.tools.calls import ProcessIdentity, ToolEffect
from domain.web.connections import NO_CONNECTIONS, ConnectionLog
from domain.workspaces.snapshots import WorkspaceSnapshot, WorkspaceVersion


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of the transcript. `content` is the JSON text of its blocks, to the byte."""

    seq: int
    role: str
    content: str
    execution_id: UUID
    stop_reason: str | None = None


class CallStatus(StrEnum):
    """How one try of a model call ended."""

    INTENDED = "intended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The worker died before the answer came; the call is charged at its estimate."""


@dataclass(frozen=True, slots=True)
class CallIntent:
    """A model call about to be made. `estimate_usd` is charged if its answer is lost."""

    id: UUID
    turn: int
    try_number: int
    model: str
    max_tokens: int
    last_message_seq: int
    request_sha256: bytes
    estimate_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The result of a model call: usage and price, or the provider's error."""

    id: UUID
    status: CallStatus
    usage: Usage | None = None
    usage_estimated: bool = False
    cost_usd: Decimal | None = None
    stop_reason: str | None = None
    stop_details: Mapping[str, Any] | None = None
    request_id: str | None = None
    first_token_ms: int | None = None
    error_kind: str | None = None
    error_message: str | None = None
    http_status: int | None = None


class ToolCallStatus(StrEnum):
    """The state of a tool call; the last four are settled."""

    READY = "ready"
    """May run, and has not taken effect."""
    STARTED = "started"
    """May have taken effect."""
    WAITING_FOR_USER = "waiting_for_user"
    WAITING_FOR_SUBTASK = "waiting_for_subtask"
    WAITING_FOR_TIME = "waiting_for_time"
    APPROVED = "approved"
    """A person approved it. It runs, in the model's order, when no other call of its turn waits."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    CANCELLED = "cancelled"

    @property
    def is_settled(self) -> bool:
        """True when the call has a result to send to the model."""
        return self in SETTLED


SETTLED = frozenset(
    {
        ToolCallStatus.SUCCEEDED,
        ToolCallStatus.FAILED,
        ToolCallStatus.DENIED,
        ToolCallStatus.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call of a turn, as it is recorded.

    `input` is the JSON text that the model wrote; `approved_input` is a person's edited version.
    """

    id: UUID
    turn: int
    position: int
    tool_use_id: str
    name: str
    input: str
    input_sha256: bytes
    effect: ToolEffect
    status: ToolCallStatus
    approved_input: str | None = None
    reason: str | None = None
    output: str | None = None
    is_error: bool = False
    child_execution_ids: tuple[UUID, ...] = ()
    """The subtasks that it started, in the order of its input."""
    wakes_at: datetime | None = None
    process: ProcessIdentity | None = None
    output_artifact_id: UUID | None = None
    connections: ConnectionLog = NO_CONNECTIONS
    """What the call connected to."""
    remote_state: RemoteState | None = None
    """What continues a call of an MCP server that has not answered (domain/mcp/remote_waits.py)."""
    remembered_decision_id: UUID | None = None
    """The remembered decision that allowed or denied it; no person was asked again."""

    @property
    def input_to_run(self) -> str:
        """The JSON text of the input that runs: as a person edited it, or as the model wrote it."""
        return self.approved_input or self.input


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append. The outcome of the call that made it is written in the same step."""

    id: UUID
    seq: int
    role: str
    content: str
    model: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewRequest:
    """An input request to open."""

    id: UUID
    kind: RequestKind
    title: str
    tool_call_id: UUID | None = None
    body: str | None = None
    options: Sequence[Any] | None = None
    schema: Mapping[str, Any] | None = None
    tool_name: str | None = None
    tool_input: str | None = None
    input_sha256: bytes | None = None
    tool_input_schema: Mapping[str, Any] | None = None
    """The tool's input schema when the request was opened; an edited input must match it."""
    reach_sha256: bytes | None = None
    """What the tool is and can reach; a remembered decision is bound to it
    (`domain.people.remembered_decisions`)."""
    assignee: str | None = None
    due_at: datetime | None = None
    on_expiry: str = "wait"
    default_answer: Any = None
    escalation: Mapping[str, Any] | None = None
    reminders: Sequence[Mapping[str, Any]] = ()
    approvals_required: int = 1
    starter_may_not_approve: bool = False


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request without an answer, or with an answer that the loop has not applied yet."""

    id: UUID
    kind: RequestKind
    tool_call_id: UUID | None
    status: str
    due_at: datetime | None
    on_expiry: str
    default_answer: Any
    answer: Mapping[str, Any] | None
    options: Sequence[Any] | None = None
    schema: Mapping[str, Any] | None = None
    """Of the answer's values; a request for a higher budget has one."""


@dataclass(frozen=True, slots=True)
class NewChild:
    """A subtask to create. A step writes its row; its parent's workflow starts it."""

    id: UUID
    tool_call_id: UUID
    title: str
    definition: Mapping[str, Any]
    budget_usd: Decimal | None
    agent_id: str | None = None
    executor: AgentExecutor = "claude"


@dataclass(frozen=True, slots=True)
class ChildArtifact:
    """A file that a subtask saved."""

    id: UUID
    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ChildResult:
    """How a subtask ended, or its present status."""

    execution_id: UUID
    title: str
    status: ExecutionStatus
    text: str | None
    error_code: str | None
    error_message: str | None
    agent_id: str | None = None
    artifacts: Sequence[ChildArtifact] = ()


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change of the execution's status, or of the reason for the same status."""

    status: ExecutionStatus
    reason: str | None = None
    wakes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution fails: a code for machines, a sentence for people (stored in Postgres)."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """Everything one step changes; written whole or not at all."""

    call_outcome: CallOutcome | None = None
    call_intent: CallIntent | None = None
    messages: Sequence[NewMessage] = ()
    new_tool_calls: Sequence[ToolCall] = ()
    tool_calls: Sequence[ToolCall] = ()
    """New states of tool calls that already have a row."""
    requests: Sequence[NewRequest] = ()
    expired_requests: Sequence[UUID] = ()
    cancelled_requests: Sequence[UUID] = ()
    """Open requests that no longer need an answer."""
    children: Sequence[NewChild] = ()
    artifacts: Sequence[NewArtifact] = ()
    events: Sequence[Event] = ()
    status: StatusChange | None = None
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None
    consumed: Sequence[UUID] = ()
    workspace: WorkspaceSnapshot | None = None
    prefix: str | None = None
    """The pinned prefix with the tools of MCP servers, as JSON. No call was made before."""

    @property
    def makes_progress(self) -> bool:
        """Whether it does not only start something, which a crashing worker does repeatedly."""
        kept = any(
            call.status.is_settled or (call.remote_state and call.status != ToolCallStatus.STARTED)
            for call in self.tool_calls
        )
        return bool(self.call_outcome or self.messages or self.requests or self.prefix or kept)

    def __add__(self, other: "Step") -> "Step":
        """Both steps as one: lists are joined in order; of single values the later one is used.

        If both change a tool call, its later state is used: a statement writes a row once.
        """
        merged: dict[str, Any] = {}
        for name in (f.name for f in fields(self)):
            first, second = getattr(self, name), getattr(other, name)
            if isinstance(first, (tuple, list)):
                merged[name] = (*first, *second)
            else:
                merged[name] = first if second is None else second
        merged["tool_calls"] = tuple({call.id: call for call in merged["tool_calls"]}.values())
        return Step(**merged)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of a written step: the last event's number, and how many signals are unread."""

    event_seq: int
    unread: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The record at the start of an attempt."""

    execution_id: UUID
    user_id: UUID
    session_id: UUID
    workspace: WorkspaceVersion
    title: str
    status: ExecutionStatus
    status_reason: str | None
    depth: int
    prefix: Prefix
    prefix_sha256: bytes
    permissions: Permissions
    limits: Limits
    is_budgeted: bool
    """Whether this execution or one above it has a budget."""
    people: InputPolicy
    definition: Mapping[str, Any]
    """The definition as it is stored; subtasks inherit from it."""
    transcript: Sequence[StoredMessage]
    foreign_executions: frozenset[UUID]
    """Executions in the transcript that used another prefix: their thinking is bound to it."""
    turn: int
    cost_usd: Decimal
    running_ms: int
    stalled_attempts: int
    failures_in_a_row: int
    """Tries of the current turn that failed at the provider, since the last spend limit."""
    tries: int
    """All tries of the current turn."""
    lost_intent_sha256: bytes | None
    """The request of a call whose answer was lost; the repeated call must match it."""
    tool_calls: Sequence[ToolCall] = ()
    """Tool calls of the last turn, until their results are in the transcript."""
    open_requests: Sequence[OpenRequest] = field(default_factory=tuple)
    spend_limit_failures: int = 0
    """Tries of the current turn that failed at the provider's spend limit."""
    has_unread: bool = False
    is_pause_requested: bool = False
    """A pause was requested and no resume since."""
    failure: Failure | None = None
    """A failure that an earlier attempt recorded before it died."""
