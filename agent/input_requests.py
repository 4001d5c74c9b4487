"""Makes input requests, and applies their answers to tool calls."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.ids import new_id
from domain.people import InputPolicy
from domain.steps import NewRequest, OpenRequest, RequestKind, ToolCall, ToolCallStatus

EFFECT_CHECK = (
    "The worker died while this call ran, so it is unknown whether it took effect. Approve to run "
    "it again; deny to continue without it, and describe in the message what you know."
)


def question_request(call: ToolCall, policy: InputPolicy, now: datetime) -> NewRequest:
    """The request that `ask_user` opens."""
    question = json.loads(call.input)
    return NewRequest(
        id=new_id(),
        kind=RequestKind.QUESTION,
        title=question["question"],
        options=question.get("options"),
        tool_call_id=call.id,
        **_bounds(policy, now),
    )


def call_request(
    kind: RequestKind,
    call: ToolCall,
    policy: InputPolicy,
    now: datetime,
    *,
    schema: Mapping[str, Any] | None = None,
) -> NewRequest:
    """An approval or effect check, bound to the call's input by its sha256.

    `schema` is the JSON schema for an edited input.
    """
    title = f"Run {call.name}?" if kind is RequestKind.APPROVAL else f"Did {call.name} happen?"
    return NewRequest(
        id=new_id(),
        kind=kind,
        title=title,
        body=call.reason if kind is RequestKind.APPROVAL else EFFECT_CHECK,
        tool_call_id=call.id,
        tool_name=call.name,
        tool_input=call.input,
        input_sha256=call.input_sha256,
        tool_input_schema=schema,
        **_bounds(policy, now),
    )


def spend_limit_request(detail: str, policy: InputPolicy, now: datetime) -> NewRequest:
    """The request for a provider's spend limit: the execution waits until a person answers it."""
    return NewRequest(
        id=new_id(),
        kind=RequestKind.BUDGET,
        title="The model provider's spend limit is reached",
        body=f"{detail}\n\nApprove to call again, deny to fail the execution.",
        **_bounds(policy, now),
    )


def _bounds(policy: InputPolicy, now: datetime) -> dict[str, Any]:
    return {
        "assignee": policy.assignee,
        "due_at": policy.due_at(now),
        "on_expiry": policy.on_expiry if policy.due_seconds is not None else "wait",
        "default_answer": policy.default_answer,
    }


def as_open(request: NewRequest) -> OpenRequest:
    """The request as the loop holds it while it is open."""
    return OpenRequest(
        id=request.id,
        kind=request.kind,
        tool_call_id=request.tool_call_id,
        status="open",
        due_at=request.due_at,
        on_expiry=request.on_expiry,
        default_answer=request.default_answer,
        answer=None,
    )


def apply_answer(call: ToolCall, kind: RequestKind, answer: Mapping[str, Any]) -> ToolCall:
    """The call after the answer to its request."""
    decision, message = answer.get("decision"), answer.get("message")
    if kind is RequestKind.QUESTION:
        return _settled(call, _reply(answer), denied=decision == "deny")
    if decision == "deny":
        reason = f" Their message: {message}" if message else ""
        if kind is RequestKind.EFFECT_CHECK:
            return _settled(
                call,
                f"A crash interrupted the call, and it was not run again.{reason}",
                denied=True,
            )
        return _settled(call, f"A person did not allow this call.{reason}", denied=True)
    edited = json.dumps(answer["input"]) if decision == "edit" else None
    return replace(call, status=ToolCallStatus.APPROVED, approved_input=edited)


def _settled(call: ToolCall, text: str, *, denied: bool) -> ToolCall:
    status = ToolCallStatus.DENIED if denied else ToolCallStatus.SUCCEEDED
    return replace(call, status=status, output=text, is_error=denied)


def _reply(answer: Mapping[str, Any]) -> str:
    """The answer to a question as text for the model."""
    values, message = answer.get("values"), answer.get("message")
    if isinstance(values, Mapping) and set(values) == {"answer"}:
        values = values["answer"]
    parts = [values if isinstance(values, str) else json.dumps(values)] if values else []
    return "\n".join([*parts, *([message] if message else [])]) or "(an empty answer)"
