"""What continues a call that a server has not answered: its task, or its requests for input."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import mcp_types as types
from pydantic import ValidationError

from domain.mcp.remote_waits import (
    DISMISSED_RESPONSE,
    MAX_FAILURES,
    MAX_ROUNDS,
    RemoteQuestion,
    RemoteState,
    RemoteWait,
    add_notes,
    list_unanswered,
    next_poll,
)
from domain.text import clean, harmless
from mcp_client.tasks import CallResult, CreatedTask, TaskState
from tools.mcp.failures import UnusableAnswerError

MAX_MESSAGE_CHARACTERS = 10_000
"""Of a question (chosen: a person reads it)."""

MAX_STATE_BYTES = 1024 * 1024
"""Of what continues a call, as JSON: it is stored with the call (chosen)."""

MAX_REQUESTS = 20
"""Of one answer (chosen)."""

_FIELD_TYPES = frozenset({"string", "number", "integer", "boolean", "array"})
_SCHEMES = ("https://", "http://")

SAMPLING = (
    "The server asks Perdure for an answer of a model (sampling), which Perdure does not offer to "
    "servers. Do without this tool."
)


def read_answer(
    state: RemoteState | None, answer: CallResult | TaskState
) -> RemoteWait | types.CallToolResult:
    """The result of a call, or how it continues; `state` is the one with which it was asked.

    Raises:
        UnusableAnswerError: the call can't be continued.
    """
    match answer:
        case TaskState():
            found = continue_task(state or {}, answer)
        case CreatedTask():
            found = start_task(answer)
        case types.InputRequiredResult():
            found = start_rounds(state, answer)
        case types.CallToolResult():
            return answer
    if isinstance(found, RemoteWait) and len(json.dumps(found.state)) > MAX_STATE_BYTES:
        size = MAX_STATE_BYTES // 1024
        raise UnusableAnswerError(
            f"What the server needs to continue the call has more than {size} KiB."
        )
    return found


def start_task(created: CreatedTask) -> RemoteWait:
    """The wait for a call that became a task."""
    now = datetime.now(UTC)
    state: dict[str, Any] = {
        "task": created.task_id,
        "since": now.isoformat(),
        "poll_ms": _pace(created.poll_interval_ms),
    }
    return RemoteWait(state, next_poll(state, now))


def continue_task(state: RemoteState, task: TaskState) -> RemoteWait | types.CallToolResult:
    """The wait for a task that goes its way, or its result.

    Raises:
        UnusableAnswerError: it failed, or it needs what a person can't give.
    """
    if task.status == "completed" and task.result is not None:
        try:
            return types.CallToolResult.model_validate(task.result, by_name=False)
        except ValidationError:
            raise UnusableAnswerError(
                "The task of the server is completed, but its result does not follow the protocol."
            ) from None
    if task.status == "failed":
        message = (task.error or {}).get("message") or task.status_message or "without a reason"
        raise UnusableAnswerError(f"The task of the server failed: {_shorten(str(message))}")
    if task.status not in {"working", "input_required"}:
        reason = f": {_shorten(task.status_message)}" if task.status_message else "."
        raise UnusableAnswerError(f"The task of the server is {_shorten(task.status)}{reason}")
    now = datetime.now(UTC)
    answered = [*state.get("answered", ()), *state.get("responses", ())]
    kept = {name: state[name] for name in ("task", "since")}
    kept["poll_ms"] = _pace(task.poll_interval_ms) or state.get("poll_ms")
    if answered:
        kept["answered"] = answered
    if notes := state.get("notes"):
        kept["notes"] = notes
    if task.status == "input_required" and task.input_requests:
        kept |= _read_requests(state, task.input_requests)
    return _ask_or_wait(kept, next_poll(kept, now))


def start_rounds(state: RemoteState | None, result: types.InputRequiredResult) -> RemoteWait:
    """The wait for a call whose server asks for input, once more if it did so before.

    Raises:
        UnusableAnswerError: it asks too often, or for what a person can't give.
    """
    now = datetime.now(UTC)
    rounds = (state or {}).get("rounds", 0) + 1
    if rounds > MAX_ROUNDS:
        raise UnusableAnswerError(f"The server asked for input more than {MAX_ROUNDS} times.")
    dumped = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    new = {
        "request_state": result.request_state,
        "since": (state or {}).get("since") or now.isoformat(),
        "rounds": rounds,
        **_read_requests(state, dumped.get("inputRequests") or {}),
    }
    # Without a question, the server only wants to be called again.
    return _ask_or_wait(new, now + timedelta(seconds=min(0.1 * 2.0**rounds, 60.0)))


def ask_next(state: RemoteState) -> RemoteWait | None:
    """The next question of a call, if the server needs more responses at once."""
    wait = _ask_or_wait(state, datetime.now(UTC))
    return wait if wait.question is not None else None


def count_failure(state: RemoteState) -> RemoteWait | None:
    """The wait after a task could not be polled; None if that has happened too often."""
    failures = state.get("failures", 0) + 1
    new = {**state, "failures": failures}
    return None if failures > MAX_FAILURES else RemoteWait(new, next_poll(new, datetime.now(UTC)))


def _ask_or_wait(state: RemoteState, wakes_at: datetime) -> RemoteWait:
    for key in list_unanswered(state):
        question = _read_question(key, state["requests"][key])
        if isinstance(question, RemoteQuestion):
            return RemoteWait({**state, "asked": key}, wakes_at, question)
    return RemoteWait(state, wakes_at)


def _read_requests(state: RemoteState | None, requests: Mapping[str, Any]) -> dict[str, Any]:
    """Check all requests for input, and answer those that need no person or can't be shown."""
    if len(requests) > MAX_REQUESTS:
        raise UnusableAnswerError(f"The server asks more than {MAX_REQUESTS} questions at once.")
    responses: dict[str, Any] = {}
    problems: list[str] = []
    for key, request in requests.items():
        method = request.get("method") if isinstance(request, Mapping) else None
        if method == "roots/list":
            responses[key] = {"roots": []}
        elif method == "sampling/createMessage":
            raise UnusableAnswerError(SAMPLING)
        elif method != "elicitation/create":
            raise UnusableAnswerError(
                "The server asks for input of a kind that Perdure does not support."
            )
        elif isinstance(problem := _read_question(key, request), str):
            responses[key] = dict(DISMISSED_RESPONSE)
            problems.append(problem)
    found: dict[str, Any] = {"requests": dict(requests)}
    if notes := add_notes(state, *problems):
        found["notes"] = notes
    return {**found, "responses": responses} if responses else found


def _read_question(key: str, request: Any) -> RemoteQuestion | str:
    """What a person is asked, or why it can't be shown, as a sentence."""
    try:
        params = types.ElicitRequest.model_validate(request, by_name=False).params
    except ValidationError:
        return "it does not follow the protocol."
    message = _shorten(params.message, MAX_MESSAGE_CHARACTERS) or "The server asks for input."
    if isinstance(params, types.ElicitRequestURLParams):
        if not params.url.startswith(_SCHEMES):
            return "it asks to open an address that is no web page."
        return RemoteQuestion(key, message, url=_shorten(params.url, MAX_MESSAGE_CHARACTERS))
    schema = dict(params.requested_schema)
    if problem := _schema_problem(schema):
        return f"its form can't be shown, because {problem}."
    return RemoteQuestion(key, message, schema=schema if schema.get("properties") else None)


def _schema_problem(schema: Mapping[str, Any]) -> str | None:
    """Why this is not a form of the protocol: an object of simple fields."""
    fields = schema.get("properties", {})
    if schema.get("type") != "object" or not isinstance(fields, Mapping):
        return "its schema is not an object"
    for name, field in fields.items():
        if not isinstance(field, Mapping) or field.get("type") not in _FIELD_TYPES:
            return f"the field {_shorten(str(name), 100)!r} is not a text, number, choice or list"
    return None


def _pace(poll_ms: int | None) -> int | None:
    return None if poll_ms is None else min(max(poll_ms, 100), 3_600_000)


def _shorten(text: str, most: int = 1000) -> str:
    return clean(harmless(text))[:most]
