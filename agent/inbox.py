"""Applying signals, answers and expiries to the run state. Pure: state in, step out."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from agent import events, input_requests
from agent.state import RunState
from agent.subtask_results import describe_results
from domain.errors import ErrorCode
from domain.executions.events import Event
from domain.executions.finishing import NOT_ENDED, NOT_RUN
from domain.executions.signals import Inbox, Signal, SignalKind
from domain.executions.steps import (
    ChildResult,
    Failure,
    OpenRequest,
    Step,
    ToolCall,
    ToolCallStatus,
)
from domain.mcp.remote_waits import DISMISSED_RESPONSE, read_response
from domain.people.answers import read_default
from domain.people.requests import QUESTIONS, RequestKind
from domain.rules.entries import READ_ARTIFACT

NOT_COMPLETED = "A person interrupted the execution, so this call did not run, or not to its end."
"""The result of calls that an interrupting message stops."""

MAX_DEFAULT_APPROVALS = 8
"""How often a default answer calls the provider again in a turn that its spend limit refuses: as
often as another failed call (chosen). A person may call more often."""

REFUSALS = frozenset({"deny", "skip"})
"""Decisions after which nothing runs. A default answer with one is no decision of a person."""

DefaultProblem = Callable[[OpenRequest, ToolCall | None], Awaitable[str | None]]
"""Why the default answer does not fit a request about a call, as a sentence, or None."""


def must_finish(inbox: Inbox) -> bool:
    """Whether a person has asked the execution to answer now."""
    return any(signal.kind == SignalKind.FINISH for signal in inbox.signals)


def is_interrupted(inbox: Inbox) -> bool:
    """Whether a person has stopped the work in progress."""
    return any(signal.kind == SignalKind.INTERRUPT for signal in inbox.signals)


def is_cancelled(inbox: Inbox) -> bool:
    """Whether a cancel signal is unread."""
    return any(signal.kind == SignalKind.CANCEL for signal in inbox.signals)


def apply(state: RunState, inbox: Inbox) -> Step:
    """Apply answers and subtask results to the turn; keep messages for the next user message."""
    calls: list[ToolCall] = []
    new_events: list[Event] = []
    failure: Failure | None = None
    finishing = set()
    for request in inbox.answered:
        failure = _apply_answer(state, request, calls) or failure
        if is_finish(request):
            state.must_finish_early = True
            finishing.add(str(request.id))
    if inbox.children:
        calls += _settle_delegations(state, inbox.children)
        ended = {str(signal.payload.get("execution_id")) for signal in inbox.signals}
        reported = [child for child in inbox.children if str(child.execution_id) in ended]
        new_events += map(events.subtask_completed, reported)
    released = [*_take_budget_requests(state)] if _is_budget_released(inbox) else []
    new_events += [
        events.input_cancelled(request, SignalKind.BUDGET_RELEASED) for request in released
    ]
    known = {signal.id for signal in state.unsent_messages}
    state.unsent_messages += [
        signal
        for signal in inbox.signals
        if signal.kind == SignalKind.MESSAGE and signal.id not in known
    ]
    state.put_calls(calls)
    new_events += [events.tool_ended(call) for call in calls if call.status.is_settled]
    consumed = [
        signal.id
        for signal in inbox.signals
        if _is_consumed_on_read(signal) and signal.payload.get("input_request_id") not in finishing
    ]
    return Step(
        tool_calls=calls,
        cancelled_requests=[request.id for request in released],
        events=new_events,
        consumed=consumed,
        failure=failure,
    )


def stop_work(state: RunState, children: Sequence[ChildResult]) -> Step:
    """Settle what is still to run or to be decided, for an execution that must answer now.

    A call gets the results of those of its subtasks that have ended.
    """
    state.is_finishing = True
    requests = list(state.requests.values())
    unknown = {r.tool_call_id for r in requests if r.kind is RequestKind.EFFECT_CHECK}
    delegations = {call.id: call for call in _settle_partly_ended(state, children)}
    calls = [
        delegations.get(call.id) or _stop_call(call, is_effect_unknown=call.id in unknown)
        for call in state.calls.values()
        if not call.status.is_settled
    ]
    state.requests.clear()
    state.put_calls(calls)
    return Step(
        tool_calls=calls,
        cancelled_requests=[request.id for request in requests],
        events=[
            *(events.tool_ended(call) for call in calls),
            *(events.input_cancelled(request, SignalKind.FINISH) for request in requests),
        ],
    )


def stop_calls(state: RunState, inbox: Inbox) -> Step:
    """Settle the calls that wait to run, for an interruption whose inbox was applied.

    Those that wait for a person or a subtask stay: the turn ends after the answer. A call that was
    approved after the interruption runs.
    """
    waiting = state.calls_in(
        ToolCallStatus.READY, ToolCallStatus.APPROVED, ToolCallStatus.WAITING_FOR_TIME
    )
    approved = _find_calls_answered_later(inbox)
    calls = [
        input_requests.settle(call, ToolCallStatus.CANCELLED, NOT_COMPLETED, is_error=True)
        for call in waiting
        if call.id not in approved
    ]
    state.put_calls(calls)
    return Step(tool_calls=calls, events=[events.tool_ended(call) for call in calls])


def _find_calls_answered_later(inbox: Inbox) -> Collection[UUID | None]:
    """The calls that a person has answered after the last interruption."""
    last = max(n for n, signal in enumerate(inbox.signals) if signal.kind == SignalKind.INTERRUPT)
    answered = {signal.payload.get("input_request_id") for signal in inbox.signals[last:]}
    return {request.tool_call_id for request in inbox.answered if str(request.id) in answered}


def _stop_call(call: ToolCall, *, is_effect_unknown: bool) -> ToolCall:
    text = NOT_RUN
    if is_effect_unknown:
        text = input_requests.NOT_REPEATED
    elif call.child_execution_ids or call.remote_state:
        text = NOT_ENDED
    return input_requests.settle(call, ToolCallStatus.CANCELLED, text, is_error=True)


def _is_budget_released(inbox: Inbox) -> bool:
    return any(signal.kind == SignalKind.BUDGET_RELEASED for signal in inbox.signals)


def _take_budget_requests(state: RunState) -> Iterator[OpenRequest]:
    """Remove the open requests for a higher budget: the next call is tried without an answer."""
    for request in list(state.requests.values()):
        if request.kind is RequestKind.BUDGET and request.schema is not None:
            yield state.requests.pop(request.id)


def _is_consumed_on_read(signal: Signal) -> bool:
    """False for cancels and requests to finish, which the end consumes, and for messages."""
    return signal.kind not in (SignalKind.CANCEL, SignalKind.FINISH, SignalKind.MESSAGE)


def _apply_answer(state: RunState, request: OpenRequest, calls: list[ToolCall]) -> Failure | None:
    state.requests.pop(request.id, None)
    if request.status == "open":  # it has another due time, or an answer was withdrawn
        state.requests[request.id] = request
    if request.answer is None:
        return None
    if request.tool_call_id is None:
        return _answer_about_execution(request)
    call = state.calls.get(request.tool_call_id)
    if call is not None:  # an operator's reset may have superseded it
        calls.append(_answer_call(call, request, request.answer))
    return None


def _answer_call(call: ToolCall, request: OpenRequest, answer: Mapping[str, Any]) -> ToolCall:
    """The call after an answer: a question of an MCP server is answered by continuing the call."""
    if call.remote_state is None or request.kind not in QUESTIONS:
        return input_requests.apply_answer(call, request.kind, answer)
    response = read_response(answer, has_schema=request.schema is not None)
    return input_requests.continue_call(call, response)


def is_finish(request: OpenRequest) -> bool:
    """Whether a person chose to complete the execution with the answers so far.

    The signal of this answer stays unread until the end, so that each attempt comes to it.
    """
    return request.tool_call_id is None and (request.answer or {}).get("decision") == "finish"


def _answer_about_execution(request: OpenRequest) -> Failure | None:
    if request.answer is None or request.answer.get("decision") != "deny":
        return None
    if request.schema is not None:
        message = "The budget is used up, and a person chose to end the execution."
        return Failure(ErrorCode.BUDGET_EXHAUSTED, message)
    return Failure(
        ErrorCode.MODEL_ERROR,
        "The provider's spend limit is reached, and a person chose to end the execution.",
    )


def _settle_delegations(state: RunState, children: Sequence[ChildResult]) -> Iterator[ToolCall]:
    """Settle the calls of which all subtasks have ended; others wait for the next signal."""
    ended = {child.execution_id: child for child in children if child.status.is_terminal}
    can_read = state.snapshot.prefix.offers(READ_ARTIFACT)
    for call in state.calls_in(ToolCallStatus.WAITING_FOR_SUBTASK):
        if ended.keys() >= set(call.child_execution_ids):
            results = [ended[child_id] for child_id in call.child_execution_ids]
            text, is_error = describe_results(call, results, can_read_artifacts=can_read)
            status = ToolCallStatus.FAILED if is_error else ToolCallStatus.SUCCEEDED
            yield input_requests.settle(call, status, text, is_error=is_error)


def _settle_partly_ended(state: RunState, children: Sequence[ChildResult]) -> Iterator[ToolCall]:
    """Settle the calls of which some subtasks have ended, with the results of those."""
    known = {child.execution_id: child for child in children}
    can_read = state.snapshot.prefix.offers(READ_ARTIFACT)
    for call in state.calls_in(ToolCallStatus.WAITING_FOR_SUBTASK):
        results = [known[child_id] for child_id in call.child_execution_ids if child_id in known]
        if any(result.status.is_terminal for result in results):
            text, _ = describe_results(call, results, can_read_artifacts=can_read)
            yield input_requests.settle(call, ToolCallStatus.CANCELLED, text, is_error=True)


async def apply_expiries(
    state: RunState, now: datetime, *, default_problem: DefaultProblem
) -> Step | None:
    """Apply the rule of each request past due and settle expired timers; None if there are none."""
    due, expired = state.list_due_requests(now), list(state.end_timers(now))
    if not due and not expired:
        return None
    calls, new_events = expired, []
    failure: Failure | None = None
    for request in due:
        del state.requests[request.id]
        new_events.append(events.input_expired(request))
        call = state.calls[request.tool_call_id] if request.tool_call_id is not None else None
        settled = await _expire(state, request, call, default_problem)
        if isinstance(settled, Failure):
            failure = settled
        elif settled is not None:
            calls.append(settled)
    state.put_calls(calls)
    new_events += [events.tool_ended(call) for call in calls if call.status.is_settled]
    return Step(
        tool_calls=calls,
        expired_requests=[r.id for r in due],
        events=new_events,
        failure=failure,
    )


def _limit_default_approvals(state: RunState) -> Failure | None:
    """The failure of an execution whose default answer has called the provider too often."""
    if state.spend_limit_failures <= MAX_DEFAULT_APPROVALS:
        return None
    message = (
        f"The provider's spend limit was reached {state.spend_limit_failures} times in this turn; "
        "the task's default answer does not call again. Raise the limit, then retry."
    )
    return Failure(ErrorCode.MODEL_ERROR, message)


async def _expire(
    state: RunState, request: OpenRequest, call: ToolCall | None, default_problem: DefaultProblem
) -> ToolCall | Failure | None:
    """What follows from an expired request: its call, or a failure of the execution.

    A default answer counts as given if it fits; otherwise the rule is `deny`.
    """
    missing = Failure(ErrorCode.INPUT_EXPIRED, input_requests.EXPIRED)
    if request.on_expiry == "fail" or (
        request.on_expiry == "default" and request.default_answer is None
    ):
        return missing
    reason = ""
    if request.on_expiry == "default":
        problem = await default_problem(request, call)
        answer = read_default(request.default_answer)
        decision = answer.get("decision")
        if problem is None and call is not None and decision not in REFUSALS:
            return _answer_call(call, request, answer)
        if problem is None and call is None and decision == "finish":
            state.must_finish_early = True
            return None
        # Only a person raises a budget: the request for that has a schema.
        if problem is None and call is None and decision == "approve" and request.schema is None:
            return _limit_default_approvals(state)
        if problem is not None:
            reason = f"The task's default answer does not fit: {problem}"
        elif message := answer.get("message"):
            reason = f"The task's default answer is: {message}"
    return missing if call is None else _expire_call(call, request, reason)


def _expire_call(call: ToolCall, request: OpenRequest, reason: str) -> ToolCall:
    """The call without an answer: its MCP server learns that no person has decided."""
    if call.remote_state is None or request.kind not in QUESTIONS:
        return input_requests.apply_expiry(call, request.kind, reason)
    return input_requests.continue_call(call, DISMISSED_RESPONSE)
