"""Taking in what people and subtasks said: answers, results, expiries. Pure: state in, step out."""

from dataclasses import replace
from datetime import datetime

from agent import requests, story
from agent.state import RunState
from agent.subtasks import result_text
from domain.errors import ErrorCode
from domain.events import Event
from domain.people import expiry_answer
from domain.steps import (
    ChildResult,
    Failure,
    Inbox,
    OpenRequest,
    Signal,
    Step,
    ToolCall,
    ToolCallStatus,
)

CANCEL, MESSAGE = "cancel", "message"
"""Kinds of what is said that the loop treats by themselves; the rest is consumed as it is read."""


def wants_end(heard: Inbox) -> bool:
    """Whether somebody cancelled."""
    return any(said.kind == CANCEL for said in heard.said)


def apply(state: RunState, heard: Inbox) -> Step:
    """Apply answers and subtask results to the turn; messages wait for the next user message."""
    calls: list[ToolCall] = []
    events: list[Event] = []
    failure: Failure | None = None
    for request in heard.answered:
        failure = _apply_answer(state, request, calls) or failure
    for child in heard.children:
        calls += _apply_child(state, child)
        events.append(
            Event(
                "subtask.completed",
                {"execution_id": str(child.execution_id), "status": child.status},
            )
        )
    known = {said.id for said in state.steering}
    state.steering += [s for s in heard.said if s.kind == MESSAGE and s.id not in known]
    state.take(calls)
    events += [story.tool_ended(call) for call in calls if call.status.is_settled]
    consumed = [said.id for said in heard.said if _is_done_with(said)]
    return Step(tool_calls=calls, events=events, consumed=consumed, failure=failure)


def _is_done_with(said: Signal) -> bool:
    """Cancels are consumed by `finish`, messages with the user message they become."""
    return said.kind not in (CANCEL, MESSAGE)


def _apply_answer(state: RunState, request: OpenRequest, calls: list[ToolCall]) -> Failure | None:
    state.requests.pop(request.id, None)
    if request.answer is None:
        return None
    if request.tool_call_id is None:
        return _gate_answer(request)
    call = state.calls.get(request.tool_call_id)
    if call is not None:  # an operator's reset may have set it aside
        calls.append(requests.answered(call, request.kind, request.answer))
    return None


def _gate_answer(request: OpenRequest) -> Failure | None:
    if request.answer is not None and request.answer.get("decision") == "deny":
        return Failure(
            ErrorCode.MODEL_ERROR, "The provider's spend limit is reached; a person ended it here."
        )
    return None


def _apply_child(state: RunState, child: ChildResult) -> list[ToolCall]:
    text, is_error = result_text(child)
    status = ToolCallStatus.FAILED if is_error else ToolCallStatus.SUCCEEDED
    return [
        replace(call, status=status, output=text, is_error=is_error)
        for call in state.having(ToolCallStatus.WAITING_FOR_SUBTASK)
        if call.child_execution_id == child.execution_id
    ]


def expire(state: RunState, now: datetime) -> Step | None:
    """Apply the rule of every request past due, and end timers that ran out; None if none did."""
    due, woken = state.past_due(now), list(state.woken(now))
    if not due and not woken:
        return None
    calls, events = woken, []
    failure: Failure | None = None
    for request in due:
        del state.requests[request.id]
        events.append(
            Event(
                "input.expired",
                {"input_request_id": str(request.id), "on_expiry": request.on_expiry},
            )
        )
        answer = expiry_answer(request.on_expiry, request.default_answer)
        if answer is None or (request.tool_call_id is None and answer["decision"] == "deny"):
            failure = Failure(ErrorCode.INPUT_EXPIRED, "Nobody answered in time.")
        elif request.tool_call_id is not None:
            calls.append(requests.answered(state.calls[request.tool_call_id], request.kind, answer))
    state.take(calls)
    events += [story.tool_ended(call) for call in calls if call.status.is_settled]
    return Step(
        tool_calls=calls,
        expired_requests=[r.id for r in due],
        events=events,
        failure=failure,
    )
