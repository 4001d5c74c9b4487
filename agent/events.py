"""The events that the loop appends."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from domain.executions.events import Event
from domain.executions.steps import (
    CallIntent,
    CallOutcome,
    ChildResult,
    NewChild,
    NewMessage,
    NewRequest,
    OpenRequest,
    StatusChange,
    Step,
    ToolCall,
    ToolCallStatus,
)
from domain.mcp.tools import Pins
from domain.model.calls import ModelResponse
from domain.tools.calls import ToolEffect
from domain.web.connections import summarize


def turn_started(intent: CallIntent) -> Event:
    """A model call is about to be made."""
    return Event("turn.started", {"turn": intent.turn, "try": intent.try_number})


def turn_completed(intent: CallIntent, response: ModelResponse, outcome: CallOutcome) -> Event:
    """A model call returned a message."""
    return Event(
        "turn.completed",
        {
            "turn": intent.turn,
            "stop_reason": response.stop_reason,
            "input_tokens": response.usage.prompt_tokens,
            "output_tokens": response.usage.output_tokens,
            "cost_usd": None if outcome.cost_usd is None else float(outcome.cost_usd),
        },
    )


def turn_failed(intent: CallIntent, outcome: CallOutcome, delay_seconds: float | None) -> Event:
    """A model call failed; `retry_in_seconds` is None when it is not retried."""
    return Event(
        "turn.completed",
        {
            "turn": intent.turn,
            "try": intent.try_number,
            "error": outcome.error_kind,
            "retry_in_seconds": delay_seconds,
        },
    )


def message_appended(message: NewMessage) -> Event:
    """A message was added to the transcript."""
    return Event("message.appended", {"seq": message.seq, "role": message.role})


def tool_started(call: ToolCall) -> Event:
    """A tool started."""
    return Event("tool.started", {"tool_call_id": str(call.id), "name": call.name})


def tools_pinned(pins: Pins) -> Event:
    """The tools of MCP servers were listed; warnings name what is not offered, and why."""
    counts = Counter(tool.server for tool in pins.tools)
    return Event("tools.pinned", {"servers": dict(counts), "warnings": list(pins.warnings)})


def tool_changed(call: ToolCall) -> Event:
    """A tool was not called, because its server has changed it since it was pinned."""
    return Event("tool.changed", {"tool_call_id": str(call.id), "name": call.name})


def tool_ended(call: ToolCall) -> Event:
    """A tool call has its result."""
    denied = call.status is ToolCallStatus.DENIED
    return Event(
        "tool.denied" if denied else "tool.completed",
        {
            "tool_call_id": str(call.id),
            "name": call.name,
            "status": call.status,
            "is_error": call.is_error,
            **({"network": summarize(call.connections)} if call.connections else {}),
        },
    )


def input_requested(request: NewRequest) -> Event:
    """An input request was opened."""
    return Event(
        "input.requested",
        {"input_request_id": str(request.id), "kind": request.kind, "title": request.title},
    )


def input_remembered(call: ToolCall) -> Event:
    """A remembered decision decided a call; no person was asked."""
    return Event(
        "input.remembered",
        {
            "remembered_decision_id": str(call.remembered_decision_id),
            "tool_call_id": str(call.id),
            "name": call.name,
            "decision": "deny" if call.status is ToolCallStatus.DENIED else "approve",
        },
    )


def input_expired(request: OpenRequest) -> Event:
    """An input request was past due, and its rule was applied."""
    return Event(
        "input.expired",
        {"input_request_id": str(request.id), "on_expiry": request.on_expiry},
    )


def input_cancelled(request: OpenRequest, reason: str) -> Event:
    """An input request needs no answer any more."""
    return Event(
        "input.cancelled",
        {"input_request_id": str(request.id), "kind": request.kind, "reason": reason},
    )


def subtask_started(child: NewChild) -> Event:
    """A subtask was recorded; the workflow starts it."""
    return Event("subtask.started", {"execution_id": str(child.id), "title": child.title})


def subtask_completed(child: ChildResult) -> Event:
    """A subtask ended, whatever its status."""
    return Event(
        "subtask.completed", {"execution_id": str(child.execution_id), "status": child.status}
    )


def budget_reserved(intent: CallIntent) -> Event:
    """The maximum cost of a call is reserved in the budgets of the tree."""
    usd = None if intent.estimate_usd is None else float(intent.estimate_usd)
    return Event("budget.reserved", {"turn": intent.turn, "usd": usd})


def budget_exceeded(cost_usd: Decimal) -> Event:
    """The next call does not fit into the budget."""
    return Event("budget.exceeded", {"cost_usd": float(cost_usd)})


def status_changed(change: StatusChange) -> Event:
    """The execution changed its status."""
    return Event("execution.status_changed", {"status": change.status, "reason": change.reason})


def describe_decisions(step: Step) -> Sequence[Event]:
    """The events of a step that records decisions."""
    calls = [*step.new_tool_calls, *step.tool_calls]
    remembered = [call for call in step.new_tool_calls if call.remembered_decision_id]
    # Read-only tools have no effect, so their start is recorded with the decision.
    started = [
        call
        for call in calls
        if call.status is ToolCallStatus.READY and call.effect is ToolEffect.READ_ONLY
    ]
    return [
        *(input_remembered(call) for call in remembered),
        *(tool_ended(call) for call in calls if call.status.is_settled),
        *(tool_started(call) for call in started),
        *(input_requested(request) for request in step.requests),
        *(subtask_started(child) for child in step.children),
    ]
