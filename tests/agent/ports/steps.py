"""Steps for the tests of the record."""

from decimal import Decimal
from typing import Any

from domain.errors import ErrorCode
from domain.executions.events import Event
from domain.executions.states import ExecutionStatus
from domain.executions.steps import (
    CallIntent,
    CallOutcome,
    CallStatus,
    Failure,
    NewChild,
    NewMessage,
    NewRequest,
    StatusChange,
    Step,
    ToolCall,
    ToolCallStatus,
)
from domain.files.artifacts import NewArtifact
from domain.ids import new_id
from domain.model.calls import Usage
from domain.people.requests import RequestKind
from domain.tools.calls import ToolEffect
from tests.persistence.opened import intent


def make_answer_step(
    call: CallIntent, *, seq: int = 2, cost_usd: Decimal | None = None, usage: Usage | None = None
) -> Step:
    """A model call that brought a message."""
    outcome = CallOutcome(call.id, CallStatus.SUCCEEDED, cost_usd=cost_usd, usage=usage)
    message = NewMessage(new_id(), seq, "assistant", '[{"type":"text","text":"hello"}]')
    return Step(call_outcome=outcome, messages=[message], events=[Event("turn.completed")])


def tool_call(**changed: Any) -> ToolCall:
    fields: dict[str, Any] = {
        "id": new_id(),
        "turn": 1,
        "position": 0,
        "tool_use_id": "toolu_1",
        "name": "bash",
        "input": "{}",
        "input_sha256": b"input",
        "effect": ToolEffect.EXTERNAL,
        "status": ToolCallStatus.READY,
        **changed,
    }
    return ToolCall(**fields)


def request_for(call: ToolCall | None, **changed: Any) -> NewRequest:
    return NewRequest(new_id(), RequestKind.APPROVAL, "Run?", call.id if call else None, **changed)


def whole_step() -> Step:
    """A step with a part of every kind."""
    call = tool_call()
    return Step(
        call_intent=intent(),
        messages=[NewMessage(new_id(), 2, "user", "[]")],
        new_tool_calls=[call],
        requests=[request_for(call)],
        children=[NewChild(new_id(), call.id, "part", {"prompt_template": "x"}, None)],
        artifacts=[NewArtifact(new_id(), "artifact", "a", "text/plain", 1, "00", call.id)],
        events=[Event("turn.started"), Event("tool.started")],
        status=StatusChange(ExecutionStatus.WAITING_FOR_USER),
        result={"text": "x"},
        failure=Failure(ErrorCode.TOOL_FAILED, "y"),
    )
