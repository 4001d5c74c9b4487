"""Snapshots of the record in memory: what an attempt reads before it continues an execution."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any
from uuid import UUID

from definitions.tasks import TaskDefinition
from domain.errors import ErrorCode
from domain.executions.steps import (
    CallStatus,
    ChildArtifact,
    ChildResult,
    Failure,
    OpenRequest,
    Snapshot,
    StoredMessage,
    ToolCall,
)
from domain.model.calls import count_failures
from tests.agent.in_memory import budgets
from tests.agent.in_memory.rows import (
    Executions,
    SessionMessage,
    StoredExecution,
    StoredModelCall,
    StoredRequest,
    StoredToolCall,
)


def take_snapshot(execution: StoredExecution, executions: Executions) -> Snapshot:
    """The state from which an attempt continues; a call without an outcome is charged."""
    definition = TaskDefinition.model_validate(execution.definition)
    lost = charge_lost_call(execution)
    tries = _tries(execution)
    is_open = bool(tries) and tries[-1].status is not CallStatus.SUCCEEDED
    failures = count_failures(
        [t.error_kind for t in tries if is_open and t.status is CallStatus.FAILED]
    )
    if execution.prefix is None:
        raise ValueError("The prompt is not rendered.")
    messages = execution.session.messages
    return Snapshot(
        execution_id=execution.id,
        user_id=execution.user_id,
        session_id=execution.session_id,
        workspace=execution.session.workspace,
        title=execution.title,
        status=execution.status,
        status_reason=execution.status_reason,
        depth=execution.depth,
        prefix=execution.prefix,
        prefix_sha256=execution.prefix_sha256,
        permissions=definition.permissions,
        limits=definition.limits(deadline_at=execution.deadline_at),
        is_budgeted=bool(budgets.path_of(executions, execution)),
        people=definition.input_policy,
        definition=execution.definition,
        transcript=[_transcript_message(message) for message in messages],
        foreign_executions=frozenset(_on_other_prefixes(execution, executions)),
        turn=tries[-1].turn if tries else 0,
        cost_usd=execution.cost_usd,
        running_ms=execution.running_ms,
        stalled_attempts=execution.stalled_attempts,
        failures_in_a_row=failures.in_a_row,
        spend_limit_failures=failures.at_spend_limit,
        tries=len(tries) if is_open else 0,
        lost_intent_sha256=None if lost is None else lost.request_sha256,
        tool_calls=_open_tool_calls(execution),
        open_requests=[
            read_open_request(r) for r in execution.requests.values() if r.status == "open"
        ],
        has_unread=bool(execution.signals),
        is_pause_requested=execution.pause_requested,
        failure=_failure(execution),
    )


def _transcript_message(stored: SessionMessage) -> StoredMessage:
    message = stored.message
    return StoredMessage(
        message.seq, message.role, message.content, stored.execution_id, message.stop_reason
    )


def _on_other_prefixes(execution: StoredExecution, executions: Executions) -> set[UUID]:
    others = {message.execution_id for message in execution.session.messages} - {execution.id}
    own = execution.prefix_sha256
    return {other for other in others if executions.by_id[other].prefix_sha256 != own}


def charge_lost_call(execution: StoredExecution) -> StoredModelCall | None:
    """Charge the call that a crash left without an outcome at its estimate."""
    for call in execution.model_calls.values():
        if call.status is CallStatus.INTENDED:
            call.status, call.usage_estimated = CallStatus.LOST, True
            call.cost_usd = call.estimate_usd
            execution.cost_usd += call.estimate_usd or Decimal(0)
            return call
    return None


def _tries(execution: StoredExecution) -> Sequence[StoredModelCall]:
    """The tries of the last turn, oldest first."""
    last = max((call.turn for call in execution.model_calls.values()), default=0)
    tries = [call for call in execution.model_calls.values() if call.turn == last]
    return sorted(tries, key=lambda call: call.try_number)


def _open_tool_calls(execution: StoredExecution) -> Sequence[ToolCall]:
    """The last turn's calls, while the transcript ends with the turn that made them."""
    messages = execution.session.messages
    if not messages or messages[-1].role != "assistant":
        return ()
    answered = [c for c in execution.model_calls.values() if c.status is CallStatus.SUCCEEDED]
    last = max((call.turn for call in answered), default=0)
    calls = [call for call in execution.tool_calls.values() if call.turn == last]
    return [read_tool_call(call) for call in sorted(calls, key=lambda call: call.position)]


def read_tool_call(stored: StoredToolCall) -> ToolCall:
    """A stored tool call as the loop knows it."""
    return ToolCall(**{f.name: getattr(stored, f.name) for f in fields(ToolCall)})


def read_open_request(stored: StoredRequest) -> OpenRequest:
    """A stored input request as the loop knows it."""
    shown: Mapping[str, Any] = {f.name: getattr(stored, f.name) for f in fields(OpenRequest)}
    return OpenRequest(**shown)


def read_child_result(child: StoredExecution) -> ChildResult:
    """The outcome of a subtask for its parent."""
    return ChildResult(
        execution_id=child.id,
        title=child.title,
        agent_id=child.agent_id,
        status=child.status,
        text=(child.result_data or {}).get("text"),
        error_code=child.error_code,
        error_message=child.error_message,
        artifacts=[
            ChildArtifact(file.id, file.name, file.media_type, file.size_bytes)
            for file in child.artifacts
            if file.kind != "tool_output"
        ],
    )


def _failure(execution: StoredExecution) -> Failure | None:
    if execution.error_code is None:
        return None
    return Failure(ErrorCode(execution.error_code), execution.error_message or "")
