"""The statement that writes a step, and its parameters: counts, texts, and rows as JSON arrays.

Postgres unescapes each string in a JSON array of rows. NUL and lone surrogates, which models and
tools do produce, can't be stored in a text column, so they are replaced by U+FFFD here. Only the
contents of messages are sent as text, byte for byte.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import TextClause, text

from domain.executions.states import TERMINAL, ExecutionStatus, states_before
from domain.executions.steps import (
    CallIntent,
    CallOutcome,
    CallStatus,
    NewMessage,
    StatusChange,
    Step,
    ToolCall,
)
from domain.model.calls import Usage
from domain.text import clean
from persistence.db import sql
from persistence.db.database import to_json

_SQL = sql.load("executions/step_log.sql")

SUMMARY_LENGTH = 200
"""The length of `summary` (chosen)."""


def make_statement(step: Step) -> TextClause:
    """The statement that writes the step, with the parts that the step has."""
    parts = {
        "events": step.events,
        "messages": step.messages,
        "outcome": step.call_outcome,
        "intent": step.call_intent,
        "new_tool_calls": step.new_tool_calls,
        "tool_calls": step.tool_calls,
        "consumed": step.consumed,
    }
    return _make_statement(tuple(part for part, rows in parts.items() if rows))


@cache
def _make_statement(parts: Sequence[str]) -> TextClause:
    """An execution has four combinations of parts, and Postgres takes time for each empty part."""
    fenced = ",\n".join(_SQL[name].text for name in ("step_fence", *map("step_{}".format, parts)))
    return text(f"{fenced}\n{_SQL['step_receipt'].text}")


def make_parameters(step: Step) -> dict[str, Any]:
    """All parameters of a step, except the writer's token."""
    return {**_counts(step), **_facts(step), **_rows(step)}


def _counts(step: Step) -> dict[str, Any]:
    outcome, usage = step.call_outcome, Usage()
    if outcome is not None and outcome.usage is not None:
        usage = outcome.usage
    return {
        "has_progress": step.makes_progress,
        "has_intent": step.call_intent is not None,
        "n_events": len(step.events),
        "n_messages": len(step.messages),
        "n_tool_calls": len(step.new_tool_calls),
        "n_turns": int(outcome is not None and outcome.status is CallStatus.SUCCEEDED),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cost_usd": (outcome and outcome.cost_usd) or Decimal(0),
    }


def _facts(step: Step) -> dict[str, Any]:
    change, failure = step.status, step.failure
    return {
        "status": change and change.status,
        "statuses_before": _statuses_before(change),
        "status_reason": change and change.reason,
        "wakes_at": change and change.wakes_at,
        "result": None if step.result is None else to_json(step.result),
        "summary": step.result and clean(step.result["text"])[:SUMMARY_LENGTH],
        "error_code": failure and failure.code,
        "error_message": failure and clean(failure.message),
    }


def _statuses_before(change: StatusChange | None) -> list[ExecutionStatus]:
    """The states in which the step may be written, by the table of transitions.

    A change to the same status with another reason is allowed.
    """
    if change is None:
        return sorted(set(ExecutionStatus) - TERMINAL)
    return sorted(states_before(change.status) | {change.status})


def _rows(step: Step) -> dict[str, Any]:
    outcome, intent = step.call_outcome, step.call_intent
    return {
        "events": _array({"type": e.type, "data": e.data} for e in step.events),
        "messages": _array(_message(m) for m in step.messages),
        "contents": [m.content for m in step.messages],
        "outcome_id": outcome and outcome.id,
        "turn": step.tool_calls[0].turn if step.tool_calls else None,
        "outcomes": _array([_outcome(outcome)] if outcome else []),
        "intents": _array([_intent(intent)] if intent else []),
        "new_tool_calls": _array(_tool_call(c) for c in step.new_tool_calls),
        "tool_calls": _array(_tool_call(c) for c in step.tool_calls),
        "consumed": list(step.consumed),
    }


def _array(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as ASCII JSON; they are cleaned only if an escape shows that it is necessary."""
    listed = list(rows)
    if not listed:
        return "[]"
    text = to_json(listed)
    if "\\u0000" in text or "\\ud" in text:
        return to_json([_storable(row) for row in listed])
    return text


def _storable(value: Any) -> Any:
    """The value with every text in it cleaned for a text column."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(key): _storable(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_storable(item) for item in value]
    return value


def _money(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _fields(row: Usage | CallOutcome | CallIntent) -> dict[str, Any]:
    """The fields by name, without the copies of their values that `asdict` makes."""
    return {name: getattr(row, name) for name in row.__slots__}


def _message(message: NewMessage) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "seq": message.seq,
        "role": message.role,
        "model": message.model,
        "stop_reason": message.stop_reason,
        "usage": message.usage and _fields(message.usage),
        "cost_usd": _money(message.cost_usd),
        "request_id": message.request_id,
    }


def _outcome(outcome: CallOutcome) -> dict[str, Any]:
    return {
        **_fields(outcome),
        "id": None,
        "usage": outcome.usage and _fields(outcome.usage),
        "cost_usd": _money(outcome.cost_usd),
    }


def _intent(intent: CallIntent) -> dict[str, Any]:
    return {
        **_fields(intent),
        "id": str(intent.id),
        "request_sha256": intent.request_sha256.hex(),
        "estimate_usd": _money(intent.estimate_usd),
    }


def _tool_call(call: ToolCall) -> dict[str, Any]:
    process, children = call.process, call.child_execution_ids
    return {
        "id": str(call.id),
        "turn": call.turn,
        "position": call.position,
        "tool_use_id": call.tool_use_id,
        "name": call.name,
        "input": call.input,
        "approved_input": call.approved_input,
        "input_sha256": call.input_sha256.hex(),
        "effect": call.effect,
        "status": call.status,
        "is_settled": call.status.is_settled,
        "reason": call.reason,
        "output": call.output,
        "is_error": call.is_error,
        "remembered_decision_id": call.remembered_decision_id and str(call.remembered_decision_id),
        "child_execution_id": str(children[0]) if len(children) == 1 else None,
        "child_execution_ids": [str(child) for child in children],
        "output_artifact_id": call.output_artifact_id and str(call.output_artifact_id),
        "wakes_at": call.wakes_at and call.wakes_at.isoformat(),
        "remote_state": call.remote_state,
        "connections": call.connections.as_json() if call.connections else None,
        "host_id": process and process.host_id,
        "process_group": process and process.process_group,
        "started_ticks": process and process.started_ticks,
    }
