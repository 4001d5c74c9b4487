"""Makes input requests, and applies their answers to tool calls."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.executions.steps import NewRequest, OpenRequest, ToolCall, ToolCallStatus
from domain.ids import new_id
from domain.mcp.remote_waits import RemoteQuestion, dismiss, respond
from domain.people.requests import (
    QUESTIONS,
    InputPolicy,
    RequestKind,
    is_empty,
    make_escalation,
    make_reminder,
)

INTERRUPTED = (
    "The worker stopped while this call ran. Its output is lost, and it may have run in part or "
    "completely."
)
NOT_REPEATED = (
    f"{INTERRUPTED} It was not run again. Check what it changed before you decide what to do next."
)

EFFECT_CHECK = (
    "The worker stopped while this call ran, so it is unknown whether the call took effect. Check, "
    "then choose:\n\n"
    "- happened: the call took effect. It does not run again, and your message becomes its "
    "result.\n"
    "- not_happened: the call had no effect. It runs now.\n"
    "- skip: it does not run again, and the model is informed that its effect is unknown."
)

EXPIRED = "No answer came in time."

LONGEST_TITLE = 200
"""Characters of a question's first line (chosen: one or two lines on a page)."""

LONGEST_INPUT = 2_000
"""Characters of a changed input that the model gets with the result (chosen: a long command)."""


def question_request(call: ToolCall, policy: InputPolicy, now: datetime) -> NewRequest:
    """The request that `ask_user` opens."""
    question = json.loads(call.input)
    return NewRequest(
        id=new_id(),
        kind=RequestKind.QUESTION,
        title=question["question"],
        options=question.get("options"),
        tool_call_id=call.id,
        **make_policy_fields(policy, now),
    )


def approval_request(
    call: ToolCall,
    policy: InputPolicy,
    now: datetime,
    *,
    schema: Mapping[str, Any] | None,
    reach_sha256: bytes,
) -> NewRequest:
    """An approval, bound to the call's input by its sha256. An edited input must match `schema`."""
    return NewRequest(
        id=new_id(),
        kind=RequestKind.APPROVAL,
        title=f"Run {call.name}?",
        body=call.reason,
        tool_call_id=call.id,
        tool_name=call.name,
        tool_input=call.input,
        input_sha256=call.input_sha256,
        tool_input_schema=schema,
        reach_sha256=reach_sha256,
        approvals_required=policy.approvals_required,
        **make_policy_fields(policy, now),
    )


def plan_request(
    call: ToolCall, policy: InputPolicy, now: datetime, *, schema: Mapping[str, Any] | None
) -> NewRequest:
    """The request for the approval of a plan that the model submits in plan mode."""
    return NewRequest(
        id=new_id(),
        kind=RequestKind.PLAN_APPROVAL,
        title="Carry out this plan?",
        tool_call_id=call.id,
        tool_name=call.name,
        tool_input=call.input,
        input_sha256=call.input_sha256,
        tool_input_schema=schema,
        approvals_required=policy.approvals_required,
        **make_policy_fields(policy, now),
    )


def effect_check_request(call: ToolCall, policy: InputPolicy, now: datetime) -> NewRequest:
    """The request about an interrupted call, with the input that ran."""
    return NewRequest(
        id=new_id(),
        kind=RequestKind.EFFECT_CHECK,
        title=f"{call.name} was interrupted. Did it take effect?",
        body=EFFECT_CHECK,
        tool_call_id=call.id,
        tool_name=call.name,
        tool_input=call.input_to_run,
        input_sha256=hashlib.sha256(call.input_to_run.encode()).digest(),
        **make_policy_fields(policy, now),
    )


def remote_request(
    call: ToolCall, server: str, question: RemoteQuestion, policy: InputPolicy, now: datetime
) -> NewRequest:
    """The request for what an MCP server asks during a call."""
    title, _, rest = question.message.partition("\n")
    body = [f"The MCP server {server!r} asks this while {call.name} runs."]
    if len(title) > LONGEST_TITLE or rest:
        body.append(question.message)
    if question.url is not None:
        body.append(f"Open {question.url}\n\nAnswer here when you have finished there.")
    return NewRequest(
        id=new_id(),
        kind=RequestKind.QUESTION if question.schema is None else RequestKind.FORM,
        title=title[:LONGEST_TITLE],
        body="\n\n".join(body),
        schema=question.schema,
        tool_call_id=call.id,
        **make_policy_fields(policy, now),
    )


def continue_call(call: ToolCall, response: Mapping[str, Any]) -> ToolCall:
    """The call with a response for its MCP server; it runs as soon as it may."""
    state = respond(call.remote_state or {}, response)
    return replace(call, status=ToolCallStatus.READY, remote_state=state)


def dismiss_question(call: ToolCall, problem: str) -> ToolCall:
    """The call after a question that no person can be shown; the model reads why."""
    state = dismiss(call.remote_state or {}, problem)
    return replace(call, status=ToolCallStatus.READY, remote_state=state)


def spend_limit_request(detail: str, policy: InputPolicy, now: datetime) -> NewRequest:
    """The request for a provider's spend limit: the execution waits until a person answers it."""
    return NewRequest(
        id=new_id(),
        kind=RequestKind.BUDGET,
        title="The model provider's spend limit is reached",
        body=f"{detail}\n\nApprove to call again, deny to fail the execution.",
        **make_policy_fields(policy, now),
    )


def make_policy_fields(policy: InputPolicy, now: datetime) -> dict[str, Any]:
    """The fields of a request that the policy decides."""
    return {
        "assignee": policy.assignee,
        "due_at": policy.due_at(now),
        "on_expiry": policy.expiry_rule,
        "default_answer": policy.default_answer,
        "escalation": make_escalation(policy),
        "reminders": [make_reminder(at) for at in policy.reminders(now)],
        "starter_may_not_approve": policy.starter_may_not_approve,
    }


def make_open_request(request: NewRequest) -> OpenRequest:
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
        options=request.options,
        schema=request.schema,
    )


def apply_answer(call: ToolCall, kind: RequestKind, answer: Mapping[str, Any]) -> ToolCall:
    """The call after a person's answer, or after a default answer that fits.

    A call runs only after an explicit decision to run it. Anything else settles it.
    """
    decision, message = answer.get("decision"), answer.get("message")
    if kind in (RequestKind.EFFECT_CHECK, RequestKind.PLAN_APPROVAL):
        apply = _apply_effect if kind is RequestKind.EFFECT_CHECK else _apply_plan
        return apply(call, answer)
    if kind in QUESTIONS:
        if decision == "deny":
            return deny(call, "A person left this question unanswered.", message)
        return settle(call, ToolCallStatus.SUCCEEDED, _reply(answer))
    if decision == "approve":
        return replace(call, status=ToolCallStatus.APPROVED)
    if decision == "edit":
        return replace(
            call, status=ToolCallStatus.APPROVED, approved_input=json.dumps(answer["input"])
        )
    return deny(call, "A person did not allow this call.", message)


def _apply_plan(call: ToolCall, answer: Mapping[str, Any]) -> ToolCall:
    """The submitted plan after its approval, which ends the plan mode, or its denial."""
    decision, message = answer.get("decision"), answer.get("message")
    if decision not in ("approve", "edit"):
        refusal = "A person did not approve this plan. Revise it, then submit it again."
        return deny(call, refusal, message)
    text = "A person approved your plan. Carry it out; you can use all your tools now."
    if decision == "edit":
        plan = answer["input"]["plan"]
        text = f"A person changed your plan and approved it. Carry out this plan:\n\n{plan}"
    if message:
        text = f"{text}\n\nTheir message: {message}"
    return replace(call, status=ToolCallStatus.SUCCEEDED, output=text)


def _apply_effect(call: ToolCall, answer: Mapping[str, Any]) -> ToolCall:
    decision, message = answer.get("decision"), answer.get("message")
    if decision == "not_happened":
        return replace(call, status=ToolCallStatus.APPROVED, process=None)
    if decision == "happened":
        confirmed = "The worker stopped while this call ran, so its output is lost. It took effect."
        return settle(call, ToolCallStatus.SUCCEEDED, message or confirmed)
    return deny(call, f"{INTERRUPTED} A person decided not to run it again.", message)


def apply_expiry(call: ToolCall, kind: RequestKind, reason: str = "") -> ToolCall:
    """The call after its request expired without an answer that lets it run."""
    if kind is RequestKind.EFFECT_CHECK:
        return deny(call, f"{NOT_REPEATED} {EXPIRED} {reason}".rstrip())
    if kind in QUESTIONS:
        return deny(call, f"{EXPIRED} The question is unanswered. {reason}".rstrip())
    return deny(call, f"{EXPIRED} This call needs approval, so it did not run. {reason}".rstrip())


def deny(call: ToolCall, text: str, message: str | None = None) -> ToolCall:
    """Settle a call that does not run. `message` is a person's."""
    text = f"{text} Their message: {message}" if message else text
    return settle(call, ToolCallStatus.DENIED, text, is_error=True)


def settle(
    call: ToolCall, status: ToolCallStatus, text: str, *, is_error: bool = False
) -> ToolCall:
    """The call with its result, which begins with the changed input and notes about the server."""
    output = f"{_edit_note(call)}{_server_notes(call)}{text}"
    return replace(call, status=status, output=output, is_error=is_error)


def _server_notes(call: ToolCall) -> str:
    return "".join(f"({note})\n" for note in (call.remote_state or {}).get("notes", ()))


def _edit_note(call: ToolCall) -> str:
    if call.approved_input is None or _normalise(call.approved_input) == _normalise(call.input):
        return ""
    ran = call.approved_input
    if len(ran) > LONGEST_INPUT:
        ran = f"{ran[:LONGEST_INPUT]}… ({len(ran):,} characters)"
    return (
        "The input of this call was changed before it was approved. This ran instead of your "
        f"input: {ran}\n\n"
    )


def _normalise(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def _reply(answer: Mapping[str, Any]) -> str:
    """The answer to a question as text for the model. Values that are no words are JSON."""
    values, message = answer.get("values"), answer.get("message")
    parts = [message] if message else []
    if not is_empty(values):
        if isinstance(values, Mapping) and set(values) == {"answer"}:
            values = values["answer"]
        is_words = isinstance(values, str) and values.strip()
        parts.insert(0, values if is_words else json.dumps(values))
    return "\n".join(parts) or "(an empty answer)"
