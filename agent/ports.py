"""The interfaces through which the loop reaches the model, the tools and the record.

The worker passes adapters. Tests pass implementations in memory (`tests/agent/in_memory`). The
suite in `tests/agent/ports` runs against both.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from domain.agents.agent import Agent
from domain.executions.budgets import Shortage
from domain.executions.signals import Inbox
from domain.executions.steps import CallOutcome, Receipt, Snapshot, Step, ToolCall
from domain.files.artifacts import NewArtifact
from domain.json_schemas import SchemaEvaluator
from domain.mcp.tools import RemoteCall, RemoteScope, ServerTools
from domain.model.calls import ModelRequest, ModelResponse
from domain.people.rechecks import ApprovalAge
from domain.people.remembered_decisions import RememberedDecision
from domain.tools.calls import (
    OnProgress,
    OnStarted,
    ProcessIdentity,
    SavedFile,
    ToolInvocation,
    ToolOutcome,
    ToolProgress,
    ToolSpec,
)
from domain.web.connections import ConnectionLog
from domain.workspaces.snapshots import WorkspaceSnapshot, WorkspaceVersion


class Model(Protocol):
    """Calls Claude."""

    async def ready(self) -> None:
        """Return when calls can be made at once; the first time in a process takes seconds."""

    async def call(
        self, request: ModelRequest, *, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """Return one whole message. Cancelling closes the connection.

        Raises:
            ModelCallError: no whole message came.
        """


class Prices(Protocol):
    """Prices of model calls."""

    def estimate(self, model: str, prompt_bytes: int, max_tokens: int) -> Decimal | None:
        """The maximum cost of a call in USD, or None where the model has no known price."""

    def price(self, model: str, response: ModelResponse) -> Decimal | None:
        """The cost of a call to `model` in USD, or None where the model has no known price."""


class Tools(Protocol):
    """Tools that run in the worker, in a sandbox."""

    def spec(self, name: str) -> ToolSpec | None:
        """The tool of that name, or None."""

    def input_problem(self, name: str, tool_input: object) -> str | None:
        """Why the input does not match the tool's schema, as a sentence for the model, or None."""

    async def run(self, invocation: ToolInvocation, *, on_started: OnStarted) -> ToolOutcome:
        """Run one call. A mistake of the model's is an error outcome, not an exception."""

    async def list_changed(self, invocation: ToolInvocation, since: datetime) -> Sequence[str]:
        """Return paths in the working directory of a task that were changed since then."""
        ...

    async def list_connections(self, invocation: ToolInvocation) -> ConnectionLog:
        """Return what an interrupted call connected to, as far as this host knows."""
        ...

    async def forget_connections(self, invocation: ToolInvocation) -> None:
        """Delete what `list_connections` returns, because it is recorded with the call."""

    async def save_workspace(
        self, session_id: UUID, version: WorkspaceVersion, *, is_changed: bool = False
    ) -> WorkspaceSnapshot | None:
        """Store the files that calls have changed since the snapshot of this version.

        None if no call has changed any since the last time. With `is_changed`, an interrupted call
        may have changed some.

        Raises:
            WorkspaceNotSavedError: they can't be saved, with the reason.
        """
        ...

    async def end_process(self, identity: ProcessIdentity) -> None:
        """End a process group that an earlier attempt left running on this host."""


class RemoteTools(Protocol):
    """Tools of MCP servers, for one attempt at an execution."""

    async def list_tools(self, scope: RemoteScope) -> Sequence[ServerTools]:
        """Return the tools of all servers of the execution, in the order of its definition.

        Raises:
            PerdureError: a server can't be used, with its name and the reason.
        """
        ...

    async def run(
        self, call: RemoteCall, *, on_started: OnStarted, on_progress: OnProgress
    ) -> ToolOutcome:
        """Run one call, or continue it if it has a state.

        A failure of the server, or a changed tool, is an error outcome. An outcome with a `wait`
        is not final: its state is recorded before the call is continued.
        """
        ...

    async def cancel(self, call: RemoteCall) -> None:
        """Ask the server to cancel the task of a call that is not continued, if it has one."""


class Store(Protocol):
    """Stores files that outlive a workspace."""

    async def keep(self, file: SavedFile, *, kind: str, tool_call_id: UUID) -> NewArtifact:
        """Move a file into the store, before the step that lists it.

        Raises:
            BlobStoreUnavailableError: the store is full or unavailable; the file is deleted.
        """
        ...


class Record(Protocol):
    """The durable record of one execution, with one writer at a time.

    Every method raises `FencedOutError` once another attempt has begun, except `settle_cost`.
    """

    async def begin(self) -> Snapshot:
        """Become the only writer, and read the record."""

    async def write(self, step: Step) -> Receipt:
        """Write a step completely, or not at all."""

    async def write_intent(self, step: Step, *, reserve_usd: Decimal) -> Receipt | Shortage:
        """Write a step with a call's intent, for an execution with a budget in its tree.

        The call's maximum cost is reserved in the same transaction. If it does not fit into all
        budgets, nothing of the step is written, and the shortage is returned.
        """
        ...

    async def poll_signals(self) -> Inbox:
        """Read the signals that no step has consumed yet."""

    async def settle_cost(self, outcome: CallOutcome) -> None:
        """Replace a call's estimate with its cost, even if another attempt is the writer now."""

    async def descendants(self) -> int:
        """The number of subtasks in the whole tree of this execution."""

    async def find_agents(self, slugs: Collection[str]) -> Mapping[str, Agent]:
        """The agents with these slugs that the execution's user has, by slug."""
        ...

    async def find_remembered(self, tool_name: str) -> Sequence[RememberedDecision]:
        """The remembered decisions about this tool that apply to the execution now."""
        ...

    async def find_approval_age(self, call_id: UUID) -> ApprovalAge | None:
        """What happened between this call and its approval by a person; None without one."""

    async def has_succeeded(self, tool_name: str) -> bool:
        """Whether a call of this tool has succeeded in the execution."""
        ...

    async def find_reason(self, tool_name: str, tool_input: str, *, since_turn: int) -> str | None:
        """The reason of the latest call with this input (as JSON text), since this turn."""


class UpdatePublisher(Protocol):
    """Sends progress to clients that watch the execution."""

    def publish_text(self, turn: int, delta: str) -> None:
        """Send text as it streams; it may be lost."""

    def publish_progress(self, turn: int, call: ToolCall, progress: ToolProgress) -> None:
        """Send how far a running call is; it may be lost."""

    def publish_step(self, event_seq: int, *, is_settled: bool) -> None:
        """Send that a step was written; `is_settled` if nothing more happens without a person."""


@dataclass(frozen=True, slots=True)
class LoopPorts:
    """All that one attempt at an execution reaches outside of the loop."""

    record: Record
    model: Model
    tools: Tools
    remote: RemoteTools
    schemas: SchemaEvaluator
    store: Store
    prices: Prices
    live_updates: UpdatePublisher
