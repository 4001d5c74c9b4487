"""The events the loop tells (contract.md, section 7)."""

from domain.events import Event
from domain.model_calls import ModelResponse
from domain.steps import (
    CallIntent,
    CallOutcome,
    NewChild,
    NewMessage,
    NewRequest,
    StatusChange,
    ToolCall,
    ToolCallStatus,
)


def turn_started(intent: CallIntent) -> Event:
    """A model call is about to be made."""
    return Event("turn.started", {"turn": intent.turn, "try": intent.try_number})


def turn_completed(intent: CallIntent, response: ModelResponse, outcome: CallOutcome) -> Event:
    """A model call brought a message."""
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
    """A model call brought none; `retry_in_seconds` is empty when it is not tried again."""
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
    """The transcript grew."""
    return Event("message.appended", {"seq": message.seq, "role": message.role})


def tool_started(call: ToolCall) -> Event:
    """A tool runs."""
    return Event("tool.started", {"tool_call_id": str(call.id), "name": call.name})


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
        },
    )


def input_requested(request: NewRequest) -> Event:
    """A person is asked."""
    return Event(
        "input.requested",
        {"input_request_id": str(request.id), "kind": request.kind, "title": request.title},
    )


def subtask_started(child: NewChild) -> Event:
    """A subtask is written; the workflow starts it."""
    return Event("subtask.started", {"execution_id": str(child.id), "title": child.title})


def status_changed(change: StatusChange) -> Event:
    """The execution moved."""
    return Event("execution.status_changed", {"status": change.status, "reason": change.reason})
