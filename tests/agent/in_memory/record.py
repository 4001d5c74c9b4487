"""The record in memory, under the rules of `persistence`: one writer, each step whole or not."""

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from agent_library.built_in import load_built_in_agents
from domain.agents.agent import Agent
from domain.errors import (
    AlreadyAnsweredError,
    ErrorCode,
    ExecutionTerminalError,
    FencedOutError,
    NotFoundError,
)
from domain.executions.budgets import Shortage, compute_remaining_usd
from domain.executions.events import Event
from domain.executions.signals import Inbox
from domain.executions.states import ExecutionStatus
from domain.executions.steps import (
    CallOutcome,
    CallStatus,
    NewChild,
    Receipt,
    Snapshot,
    Step,
    ToolCall,
    ToolCallStatus,
)
from domain.model.calls import Prefix, Usage
from domain.people.rechecks import ApprovalAge, is_same_input
from domain.people.remembered_decisions import RememberedDecision
from domain.people.requests import RequestKind
from domain.text import clean
from tests.agent.in_memory import budgets, rows
from tests.agent.in_memory.rows import (
    Executions,
    StoredEvent,
    StoredExecution,
    StoredModelCall,
    StoredRequest,
    StoredToolCall,
)
from tests.agent.in_memory.snapshots import (
    charge_lost_call,
    read_child_result,
    read_open_request,
    read_tool_call,
    take_snapshot,
)

SUMMARY_LENGTH = 200


class InMemoryRecord:
    """One attempt's hold on one execution."""

    def __init__(
        self, executions: Executions, execution_id: UUID, *, segment: int, attempt: int = 1
    ) -> None:
        self._executions = executions
        self._id = execution_id
        self._token = (segment, attempt)

    # --- beginning ----------------------------------------------------------------------------

    async def begin(self) -> Snapshot:
        execution = self._executions.by_id.get(self._id)
        if execution is None:
            raise NotFoundError(f"There is no execution {self._id}.")
        if execution.status.is_terminal:
            raise ExecutionTerminalError(f"The execution is {execution.status}.")
        if self._token <= (execution.segment, execution.attempt):
            raise FencedOutError("Another attempt moves this execution.")
        execution.segment, execution.attempt = self._token
        stalled = execution.stalled_attempts + 1 if execution.attempt > 1 else 0
        execution.stalled_attempts = stalled
        execution.last_write = time.monotonic()
        snapshot = take_snapshot(execution, self._executions)
        budgets.wake_waiting(self._executions)  # a lost call was charged
        return snapshot

    # --- writing ------------------------------------------------------------------------------

    async def write(self, step: Step) -> Receipt:
        execution = self._require_current()
        _check(execution, step)
        self._apply(execution, step)
        if step.call_outcome is not None:
            budgets.wake_waiting(self._executions)
        self._executions.notify()
        return Receipt(execution.event_seq, len(execution.signals))

    async def write_intent(self, step: Step, *, reserve_usd: Decimal) -> Receipt | Shortage:
        execution = self._executions.by_id[self._id]
        shortage = budgets.reserve(self._executions, execution, reserve_usd)
        return await self.write(step) if shortage is None else shortage

    def _require_current(self) -> StoredExecution:
        execution = self._executions.by_id[self._id]
        if execution.status.is_terminal or self._token != (execution.segment, execution.attempt):
            raise FencedOutError("Another attempt moves this execution, or it has ended.")
        return execution

    def _apply(self, execution: StoredExecution, step: Step) -> None:
        now = time.monotonic()
        execution.running_ms += round((now - execution.last_write) * 1000)
        execution.last_write = now
        if step.makes_progress:
            execution.stalled_attempts = 0
        if step.call_outcome is not None:
            _settle_call(execution, step.call_outcome)
        if step.call_intent is not None:
            execution.model_calls[step.call_intent.id] = StoredModelCall(step.call_intent)
        _replace_prefix(execution, step.prefix)
        for message in step.messages:
            execution.session.messages.append(rows.SessionMessage(execution.id, message))
        execution.total_messages += len(step.messages)
        execution.total_tool_calls += len(step.new_tool_calls)
        for call in (*step.new_tool_calls, *step.tool_calls):
            _put_tool_call(execution, call)
        _put_requests(execution, step)
        for child in step.children:
            budget = child.budget_usd
            left = compute_remaining_usd(budgets.path_of(self._executions, execution))
            if budget is not None and left is not None:
                budget = min(budget, left)
            self._executions.add(_child(execution, child, budget))
        execution.artifacts += step.artifacts
        if step.workspace is not None and step.workspace.is_saved:
            session = execution.session
            session.workspace = replace(session.workspace, snapshot=step.workspace.sha256)
        execution.signals = [s for s in execution.signals if s.id not in step.consumed]
        _apply_facts(execution, step)
        append_events(execution, step.events)

    async def settle_cost(self, outcome: CallOutcome) -> None:
        execution = self._executions.by_id[self._id]
        call = execution.model_calls[outcome.id]
        if not call.usage_estimated:
            return
        _add_usage(execution, outcome.usage or Usage())
        execution.cost_usd += (outcome.cost_usd or Decimal(0)) - (call.cost_usd or Decimal(0))
        call.cost_usd, call.usage_estimated = outcome.cost_usd, False
        call.usage = asdict(outcome.usage or Usage())
        budgets.wake_waiting(self._executions)

    # --- reading ------------------------------------------------------------------------------

    async def poll_signals(self) -> Inbox:
        execution = self._executions.by_id[self._id]
        payloads = [signal.payload for signal in execution.signals]
        answered = [p["input_request_id"] for p in payloads if "input_request_id" in p]
        ended = [p["execution_id"] for p in payloads if "execution_id" in p]
        return Inbox(
            signals=list(execution.signals),
            answered=[read_open_request(execution.requests[UUID(str(i))]) for i in answered],
            children=[
                read_child_result(child)
                for child in self._siblings_of(
                    ended, is_all=any(signal.kind == "finish" for signal in execution.signals)
                )
            ],
            is_pause_requested=execution.pause_requested,
        )

    def _siblings_of(self, ended: Sequence[Any], *, is_all: bool) -> list[StoredExecution]:
        """The ended subtasks, and the others of their tool calls; or all subtasks."""
        by_id = self._executions.by_id
        calls = {by_id[UUID(str(i))].parent_tool_call_id for i in ended}
        children = self._executions.children_of(self._id)
        return [child for child in children if is_all or child.parent_tool_call_id in calls]

    async def find_agents(self, slugs: Collection[str]) -> Mapping[str, Agent]:
        known = {**self._executions.agents, **load_built_in_agents()}
        return {slug: known[slug] for slug in slugs if slug in known}

    async def find_remembered(self, tool_name: str) -> Sequence[RememberedDecision]:
        return [rule for rule in self._executions.remembered if rule.tool_name == tool_name]

    async def find_approval_age(self, call_id: UUID) -> ApprovalAge | None:
        execution = self._executions.by_id[self._id]
        is_approved = any(
            request.tool_call_id == call_id and request.answer is not None
            for request in execution.requests.values()
            if request.kind is RequestKind.APPROVAL
        )
        return self._executions.approval_age if is_approved else None

    async def has_succeeded(self, tool_name: str) -> bool:
        calls = self._executions.by_id[self._id].tool_calls.values()
        return any(c.name == tool_name and c.status is ToolCallStatus.SUCCEEDED for c in calls)

    async def find_reason(self, tool_name: str, tool_input: str, *, since_turn: int) -> str | None:
        calls = [
            call
            for call in self._executions.by_id[self._id].tool_calls.values()
            if call.name == tool_name
            and is_same_input(call.input_to_run, tool_input)
            and call.turn >= since_turn
        ]
        latest = max(calls, key=lambda call: (call.turn, call.position), default=None)
        return None if latest is None else latest.reason

    async def descendants(self) -> int:
        root = self._executions.by_id[self._id]
        while root.parent_execution_id is not None:
            root = self._executions.by_id[root.parent_execution_id]
        return self._count_below(root.id)

    def _count_below(self, parent_id: UUID) -> int:
        children = self._executions.children_of(parent_id)
        return len(children) + sum(self._count_below(child.id) for child in children)


# --- steps ------------------------------------------------------------------------------------


def _check(execution: StoredExecution, step: Step) -> None:
    """Refuse a step as a whole, before any of it is applied."""
    taken = {message.seq for message in execution.session.messages}
    if any(message.seq in taken for message in step.messages):
        raise ValueError("The session has a message with this number.")
    known = {*execution.tool_calls, *(call.id for call in step.new_tool_calls)}
    belonging = [r.tool_call_id for r in step.requests if r.tool_call_id is not None]
    if any(call_id not in known for call_id in belonging):
        raise ValueError("A request belongs to no tool call of this execution.")
    closed = (*step.expired_requests, *step.cancelled_requests)
    if any(execution.requests[i].status != "open" for i in closed):
        raise AlreadyAnsweredError("A request was answered while it was closed.")


def append_events(execution: StoredExecution, events: Sequence[Event]) -> None:
    """Number events on from the execution's last one."""
    for event in events:
        stored = StoredEvent(execution.event_seq + 1, event.type, _storable(event.data))
        execution.events.append(stored)


def _settle_call(execution: StoredExecution, outcome: CallOutcome) -> None:
    execution.total_turns += outcome.status is CallStatus.SUCCEEDED
    execution.cost_usd += outcome.cost_usd or Decimal(0)
    if outcome.usage is not None:
        _add_usage(execution, outcome.usage)
    call = execution.model_calls.get(outcome.id)
    if call is None or call.status is not CallStatus.INTENDED:
        return
    call.status, call.cost_usd = outcome.status, outcome.cost_usd
    call.usage = None if outcome.usage is None else asdict(outcome.usage)
    call.usage_estimated, call.http_status = outcome.usage_estimated, outcome.http_status
    call.error_kind = outcome.error_kind
    call.completed_at = datetime.now(UTC)


def _add_usage(execution: StoredExecution, usage: Usage) -> None:
    execution.input_tokens += usage.input_tokens
    execution.output_tokens += usage.output_tokens
    execution.cache_read_tokens += usage.cache_read_tokens
    execution.cache_write_tokens += usage.cache_write_tokens


def _put_tool_call(execution: StoredExecution, call: ToolCall) -> None:
    now = datetime.now(UTC)
    before = execution.tool_calls.get(call.id)
    started_at = None if before is None else before.started_at
    if call.status is ToolCallStatus.STARTED:
        started_at = now
    execution.tool_calls[call.id] = StoredToolCall(
        **_storable(_fields(call)),
        started_at=started_at,
        completed_at=now if call.status.is_settled else None,
    )


def _put_requests(execution: StoredExecution, step: Step) -> None:
    for request in step.requests:
        execution.requests[request.id] = StoredRequest(**_fields(request))
    closed = {"expired": step.expired_requests, "cancelled": step.cancelled_requests}
    for status, ids in closed.items():
        for request_id in ids:
            without_answer = replace(execution.requests[request_id], status=status)
            execution.requests[request_id] = without_answer


def _apply_facts(execution: StoredExecution, step: Step) -> None:
    if step.status is not None:
        execution.status, execution.status_reason = step.status.status, step.status.reason
        execution.wakes_at = step.status.wakes_at
    if step.result is not None:
        execution.result_data = dict(step.result)
        execution.summary = clean(step.result["text"])[:SUMMARY_LENGTH]
    if step.failure is not None:
        execution.error_code = step.failure.code
        execution.error_message = clean(step.failure.message)


def _child(parent: StoredExecution, child: NewChild, budget_usd: Decimal | None) -> StoredExecution:
    execution = StoredExecution(
        id=child.id,
        definition=child.definition,
        title=child.title,
        depth=parent.depth + 1,
        parent_execution_id=parent.id,
        parent_tool_call_id=child.tool_call_id,
        agent_id=child.agent_id,
        trigger_type="subtask",
        budget_usd=budget_usd,
    )
    append_events(execution, [Event("execution.created", {"parent_execution_id": str(parent.id)})])
    return execution


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass's fields, not copied."""
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _storable(value: Any) -> Any:
    """The value with no text in it that Postgres refuses."""
    if isinstance(value, str) and type(value) is str:
        return clean(value)
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    return value


# --- the end of an execution --------------------------------------------------------------------


def finish(
    executions: Executions,
    execution: StoredExecution,
    status: ExecutionStatus,
    *,
    segment: int,
    error_code: ErrorCode | None = None,
) -> bool:
    """Write the end. False: a message came first and must be answered."""
    if any(signal.kind == "cancel" for signal in execution.signals):
        status = ExecutionStatus.CANCELLED
    has_message = any(signal.kind == "message" for signal in execution.signals)
    if status is ExecutionStatus.COMPLETED and has_message:
        return False
    execution.segment, execution.attempt = segment, 1
    charge_lost_call(execution)
    _close_open_rows(execution)
    execution.status, execution.status_reason, execution.wakes_at = status, None, None
    execution.completed_at = datetime.now(UTC)
    execution.signals.clear()
    if status is ExecutionStatus.FAILED:
        execution.error_code = error_code or execution.error_code
        execution.error_message = execution.error_message or f"It failed: {error_code}."
    else:
        execution.error_code = execution.error_message = None
    append_events(execution, [Event(f"execution.{status}")])
    budgets.wake_waiting(executions)
    executions.notify()
    return True


def _close_open_rows(execution: StoredExecution) -> None:
    for request in execution.requests.values():
        if request.status == "open":
            execution.requests[request.id] = replace(request, status="cancelled")
    for call in execution.tool_calls.values():
        if call.completed_at is None:
            cancelled = replace(
                read_tool_call(call),
                status=ToolCallStatus.CANCELLED,
                output="The execution ended before this call did.",
                is_error=True,
            )
            _put_tool_call(execution, cancelled)


def _replace_prefix(execution: StoredExecution, prefix: str | None) -> None:
    if prefix is not None:
        execution.prefix = Prefix(**json.loads(prefix))
        execution.prefix_sha256 = hashlib.sha256(prefix.encode()).digest()
