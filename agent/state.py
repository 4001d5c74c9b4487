"""The state of one attempt in memory: its copy of the record, updated with each step."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from agent.transcript import RecordedTranscript, encode, result_block
from domain.executions.outcomes import Outcome, Stop
from domain.executions.signals import Signal
from domain.executions.states import ExecutionStatus
from domain.executions.steps import (
    CallIntent,
    OpenRequest,
    Snapshot,
    StatusChange,
    ToolCall,
    ToolCallStatus,
)
from domain.people.requests import EXPIRING

WAITING = {
    ToolCallStatus.WAITING_FOR_USER: (ExecutionStatus.WAITING_FOR_USER, Outcome.NEEDS_INPUT),
    ToolCallStatus.WAITING_FOR_SUBTASK: (
        ExecutionStatus.WAITING_FOR_SUBTASK,
        Outcome.NEEDS_SUBTASKS,
    ),
    ToolCallStatus.WAITING_FOR_TIME: (ExecutionStatus.RUNNING, Outcome.WAIT_UNTIL),
}
"""Status and outcome for each kind of waiting call. The first one wins."""


class RunState:
    """Mutable state that one attempt owns and discards."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Start from the record."""
        self.snapshot = snapshot
        self.transcript = RecordedTranscript(
            snapshot.transcript,
            snapshot.prefix_sha256,
            foreign_executions=snapshot.foreign_executions,
        )
        prefix = snapshot.prefix
        self._prefix_bytes = len(encode(prefix.system)) + len(encode(prefix.tools))
        self.status = ExecutionStatus(snapshot.status)
        self.reason = snapshot.status_reason
        self.turn = snapshot.turn
        self.workspace = snapshot.workspace
        self.cost_usd: Decimal = snapshot.cost_usd
        self.failures_in_a_row = snapshot.failures_in_a_row
        self.spend_limit_failures = snapshot.spend_limit_failures
        self.tries = snapshot.tries
        self.stalled_attempts = snapshot.stalled_attempts
        """Attempts in a row, with this one, that have made no progress."""
        self.segment_turns = 0
        self.calls = {call.id: call for call in snapshot.tool_calls}
        self.requests = {request.id: request for request in snapshot.open_requests}
        self.intent: CallIntent | None = None
        self.is_call_sent = False
        """Whether the provider may have received the call of `intent`."""
        self.unsent_messages: list[Signal] = []
        self.must_finish_early = False
        """A person chose to complete the execution without another call."""
        self.is_finishing = False
        """A person asked the execution to answer now, without calling tools."""
        self.refused_turns = 0
        """Turns whose calls were refused for this."""
        self.tool: str | None = None

    @property
    def kept_signals(self) -> int:
        """Signals that were read and stay unread for the next attempt."""
        return len(self.unsent_messages) + self.is_finishing

    @property
    def prompt_bytes(self) -> int:
        """The size of the next request."""
        return self._prefix_bytes + self.transcript.content_bytes

    # --- tool calls of the current turn -------------------------------------------------------

    def put_calls(self, calls: Iterable[ToolCall]) -> None:
        """Add new calls, and replace changed ones."""
        for call in calls:
            self.calls[call.id] = call

    def calls_in(self, *statuses: ToolCallStatus) -> Sequence[ToolCall]:
        """The turn's calls with one of these statuses, in the model's order."""
        return [call for call in self.calls.values() if call.status in statuses]

    @property
    def is_turn_settled(self) -> bool:
        """Whether every call of the turn has its result."""
        return bool(self.calls) and all(call.status.is_settled for call in self.calls.values())

    @property
    def has_runnable(self) -> bool:
        """Whether a call may run now: an allowed one, or approved ones when nothing waits."""
        unsettled = {call.status for call in self.calls.values() if not call.status.is_settled}
        return ToolCallStatus.READY in unsettled or unsettled == {ToolCallStatus.APPROVED}

    def results(self) -> Sequence[dict[str, Any]]:
        """The turn's results in the model's order."""
        ordered = sorted(self.calls.values(), key=lambda call: call.position)
        return [
            result_block(call.tool_use_id, call.output or "", is_error=call.is_error)
            for call in ordered
        ]

    @property
    def has_final_answer(self) -> bool:
        """Whether the model's answer is the last message, and nothing is left to send to it."""
        waits = self.calls or self.intent or self.unsent_messages or self.execution_request()
        last = self.transcript.last
        return last is not None and last.role == "assistant" and not waits

    # --- waiting ------------------------------------------------------------------------------

    def execution_request(self) -> OpenRequest | None:
        """The open request that concerns the execution as a whole, or None."""
        return next((r for r in self.requests.values() if r.tool_call_id is None), None)

    def list_due_requests(self, now: datetime) -> Sequence[OpenRequest]:
        """Open requests whose expiry rule applies now."""
        return [
            r
            for r in self.requests.values()
            if r.due_at is not None and r.due_at <= now and r.on_expiry in EXPIRING
        ]

    def describe_wait(self) -> tuple[StatusChange, Stop]:
        """The status of the waiting execution, and what the workflow waits for."""
        if self.execution_request() is not None:
            status, outcome = ExecutionStatus.WAITING_FOR_USER, Outcome.NEEDS_INPUT
        else:
            status, outcome = next(v for k, v in WAITING.items() if self.calls_in(k))
        return self._status_change(status), Stop(
            outcome, children=self.children(), wakes_at=self._wakes_at()
        )

    def _status_change(self, status: ExecutionStatus) -> StatusChange:
        timed = status is ExecutionStatus.RUNNING
        return StatusChange(
            status,
            reason="timer" if timed else None,
            wakes_at=self._wakes_at() if timed else None,
        )

    def children(self) -> tuple[UUID, ...]:
        """Subtasks that must be running."""
        waiting = self.calls_in(ToolCallStatus.WAITING_FOR_SUBTASK)
        return tuple(child for call in waiting for child in call.child_execution_ids)

    def limit_to_deadline(self, moment: datetime) -> datetime:
        """The earlier of this moment and the execution's deadline."""
        deadline = self.snapshot.limits.deadline_at
        return moment if deadline is None else min(moment, deadline)

    def _wakes_at(self) -> datetime | None:
        deadline = self.snapshot.limits.deadline_at
        times = [] if deadline is None else [deadline]
        times += [
            r.due_at
            for r in self.requests.values()
            if r.due_at is not None and r.on_expiry in EXPIRING
        ]
        times += [
            call.wakes_at
            for call in self.calls_in(ToolCallStatus.WAITING_FOR_TIME)
            if call.wakes_at is not None
        ]
        return min(times, default=None)

    def end_timers(self, now: datetime) -> Sequence[ToolCall]:
        """The calls whose time is reached: the model's timers are settled, others continue."""
        return [
            replace(call, status=ToolCallStatus.SUCCEEDED, output="The time is reached.")
            if call.remote_state is None
            else replace(call, status=ToolCallStatus.READY, wakes_at=None)
            for call in self.calls_in(ToolCallStatus.WAITING_FOR_TIME)
            if call.wakes_at is not None and call.wakes_at <= now
        ]
