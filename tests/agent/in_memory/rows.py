"""What is stored of an execution: the columns that the loop and its tests read, as plain values."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.agents.agent import Agent
from domain.executions.signals import Signal
from domain.executions.states import ExecutionStatus
from domain.executions.steps import CallIntent, CallStatus, NewMessage, NewRequest, ToolCall
from domain.ids import new_id
from domain.model.calls import Prefix
from domain.people.rechecks import ApprovalAge
from domain.people.remembered_decisions import RememberedDecision
from domain.workspaces.snapshots import FIRST_VERSION, WorkspaceVersion


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its number."""

    seq: int
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """A message of a session, with the execution that wrote it."""

    execution_id: UUID
    message: NewMessage

    @property
    def seq(self) -> int:
        return self.message.seq

    @property
    def role(self) -> str:
        return self.message.role

    @property
    def content(self) -> str:
        return self.message.content


@dataclass(slots=True)
class StoredModelCall:
    """One try of a model call."""

    intent: CallIntent
    status: CallStatus = CallStatus.INTENDED
    usage: Mapping[str, int] | None = None
    usage_estimated: bool = False
    cost_usd: Decimal | None = None
    http_status: int | None = None
    error_kind: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed_at: datetime | None = None

    @property
    def turn(self) -> int:
        return self.intent.turn

    @property
    def try_number(self) -> int:
        return self.intent.try_number

    @property
    def request_sha256(self) -> bytes:
        return self.intent.request_sha256

    @property
    def estimate_usd(self) -> Decimal | None:
        return self.intent.estimate_usd


@dataclass(frozen=True, slots=True)
class StoredToolCall(ToolCall):
    """A tool call, with when it began and ended."""

    started_at: datetime | None = None
    completed_at: datetime | None = None
    superseded_at: None = None


@dataclass(frozen=True, slots=True)
class StoredRequest(NewRequest):
    """An input request, with its answer."""

    status: str = "open"
    answer: Mapping[str, Any] | None = None


@dataclass(slots=True)
class StoredSession:
    """A conversation."""

    id: UUID = field(default_factory=new_id)
    messages: list[SessionMessage] = field(default_factory=list)
    workspace: WorkspaceVersion = FIRST_VERSION


@dataclass(slots=True, kw_only=True)
class StoredExecution:
    """One execution."""

    id: UUID = field(default_factory=new_id)
    user_id: UUID = field(default_factory=new_id)
    definition: Mapping[str, Any]
    title: str = "task"
    session: StoredSession = field(default_factory=StoredSession)
    prefix: Prefix | None = None
    prefix_sha256: bytes = b""
    depth: int = 0
    parent_execution_id: UUID | None = None
    parent_tool_call_id: UUID | None = None
    agent_id: str | None = None
    trigger_type: str = "manual"
    deadline_at: datetime | None = None
    budget_usd: Decimal | None = None
    needed_usd: Decimal | None = None
    pause_requested: bool = False

    segment: int = 0
    attempt: int = 0
    stalled_attempts: int = 0
    last_write: float = 0

    status: ExecutionStatus = ExecutionStatus.PENDING
    status_reason: str | None = None
    wakes_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    result_data: dict[str, Any] | None = None
    summary: str | None = None

    running_ms: int = 0
    total_turns: int = 0
    total_messages: int = 0
    total_tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    events: list[StoredEvent] = field(default_factory=list)
    model_calls: dict[UUID, StoredModelCall] = field(default_factory=dict)
    tool_calls: dict[UUID, StoredToolCall] = field(default_factory=dict)
    requests: dict[UUID, StoredRequest] = field(default_factory=dict)
    signals: list[Signal] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)

    @property
    def session_id(self) -> UUID:
        return self.session.id

    @property
    def event_seq(self) -> int:
        return len(self.events)


SendSignal = Callable[[UUID, str, Mapping[str, Any]], None]


class Executions:
    """All executions, and a way to wait for a change of any."""

    def __init__(self) -> None:
        self.by_id: dict[UUID, StoredExecution] = {}
        self.agents: dict[str, Agent] = {}
        """The user's own agents."""
        self.remembered: list[RememberedDecision] = []
        self.approval_age = ApprovalAge(timedelta(0))
        """Of every approval."""
        self.waiting_for_budget: list[UUID] = []
        self.send_signal: SendSignal = lambda *_: None
        """Set by what moves the executions."""
        self._changed = asyncio.Event()

    def add(self, execution: StoredExecution) -> StoredExecution:
        self.by_id[execution.id] = execution
        return execution

    def children_of(self, parent_id: UUID) -> list[StoredExecution]:
        return [e for e in self.by_id.values() if e.parent_execution_id == parent_id]

    def notify(self) -> None:
        """Wake what waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Return after the next change."""
        await self._changed.wait()
