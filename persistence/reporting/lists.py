"""The lists of a report: messages, tool and model calls, requests, subtasks, files."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.report_facts import (
    Artifact,
    Excerpt,
    InputRequest,
    MessageSource,
    ModelCall,
    Subtask,
    TokenCounts,
    ToolCallSummary,
)
from domain.executions.steps import CallStatus
from domain.people.requests import is_empty
from domain.web.connections import describe_connections, read_connections
from persistence.reporting.queries import (
    SENTENCE_CHARS,
    ListEnds,
    ListLimits,
    count_ms,
    format_value,
    message_of_call,
    message_of_turn,
    read_ends,
    read_excerpt,
    select_start,
)
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from persistence.tables.sessions import (
    ArtifactRow,
    InputRequestRow,
    MessageRow,
    ModelCallRow,
    ToolCallRow,
)

MESSAGES = ListLimits(first=20, last=100)
"""How it started and how it ended; the rest is in the transcript (chosen)."""

CALLS = ListLimits(first=50, last=150)
"""Tool calls and model calls: most executions have fewer (chosen)."""

OTHERS = ListLimits(first=50, last=50)
"""Requests, subtasks (at most 100 in a tree) and files."""

MAX_CONTENT_BYTES = 1_000_000
"""A longer message is not parsed: it would block the event loop for some 10 ms (chosen)."""

INPUT_CHARS, OUTPUT_CHARS = 800, 1_600
"""Of a tool call: a screen of text, so that 200 of them stay below half a megabyte (chosen)."""


def _fields(row: Any, names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names.split()}


async def read_messages(session: AsyncSession, execution_id: UUID) -> ListEnds[MessageSource]:
    """The current messages that this execution added to its session."""
    size = func.octet_length(MessageRow.content)
    return await read_ends(
        session,
        MessageRow.id,
        [
            MessageRow.seq,
            MessageRow.role,
            MessageRow.created_at.label("at"),
            MessageRow.stop_reason,
            case((size <= MAX_CONTENT_BYTES, MessageRow.content)).label("content"),
            size.label("chars"),
        ],
        where=[MessageRow.execution_id == execution_id, MessageRow.superseded_at.is_(None)],
        order=[MessageRow.seq],
        limits=MESSAGES,
        to_entry=lambda row: MessageSource(**_fields(row, "seq role at stop_reason content chars")),
    )


_TOOL_CALL = (
    "id turn tool_use_id name status reason is_error output_artifact_id "
    "child_execution_id child_execution_ids"
)


async def read_tool_calls(session: AsyncSession, execution_id: UUID) -> ListEnds[ToolCallSummary]:
    """The current tool calls, in the order in which the model requested them."""
    call = ToolCallRow
    received = func.coalesce(call.approved_input, call.input)
    return await read_ends(
        session,
        call.id,
        [
            *(getattr(call, name) for name in _TOOL_CALL.split()),
            call.connections,
            *select_start(received, "input", INPUT_CHARS),
            *select_start(call.output, "output", OUTPUT_CHARS),
            call.approved_input.is_not(None).label("was_edited"),
            func.coalesce(call.started_at, call.created_at).label("started_at"),
            call.completed_at,
            message_of_turn(execution_id, call.turn).label("message_seq"),
        ],
        where=[call.execution_id == execution_id, call.superseded_at.is_(None)],
        order=[call.turn, call.position, call.id],
        limits=CALLS,
        to_entry=_tool_call,
    )


def _tool_call(row: Any) -> ToolCallSummary:
    return ToolCallSummary(
        **_fields(row, f"{_TOOL_CALL} was_edited message_seq started_at"),
        input=read_excerpt(row, "input") or Excerpt.of("", 0),
        output=read_excerpt(row, "output"),
        connections=describe_connections(read_connections(row.connections)),
        duration_ms=count_ms(row.started_at, row.completed_at),
    )


_MODEL_CALL = "turn try_number model status stop_reason cost_usd started_at first_token_ms"


async def read_model_calls(session: AsyncSession, execution_id: UUID) -> ListEnds[ModelCall]:
    """The current tries of every turn."""
    call = ModelCallRow
    return await read_ends(
        session,
        call.id,
        [
            *(getattr(call, name) for name in _MODEL_CALL.split()),
            *select_start(call.error_message, "error", SENTENCE_CHARS),
            call.usage,
            call.usage_estimated,
            call.last_message_seq,
            call.completed_at,
        ],
        where=[call.execution_id == execution_id, call.superseded_at.is_(None)],
        order=[call.turn, call.try_number, call.id],
        limits=CALLS,
        to_entry=_model_call,
    )


def _model_call(row: Any) -> ModelCall:
    usage: Mapping[str, int] = row.usage or {}
    return ModelCall(
        **_fields(row, _MODEL_CALL),
        error=read_excerpt(row, "error"),
        tokens=TokenCounts(
            input=usage.get("input_tokens", 0),
            output=usage.get("output_tokens", 0),
            cache_read=usage.get("cache_read_tokens", 0),
            cache_write=usage.get("cache_write_5m_tokens", 0)
            + usage.get("cache_write_1h_tokens", 0),
        ),
        is_cost_estimated=row.usage_estimated,
        message_seq=row.last_message_seq + 1 if row.status == CallStatus.SUCCEEDED else None,
        duration_ms=count_ms(row.started_at, row.completed_at),
    )


async def read_input_requests(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> ListEnds[InputRequest]:
    """The questions to people; a person has not answered an open one until `now`."""
    request = InputRequestRow
    subject = select(UserRow.subject).where(UserRow.id == request.answered_by)
    return await read_ends(
        session,
        request.id,
        [
            request.id,
            request.kind,
            *select_start(request.title, "title", SENTENCE_CHARS),
            request.status,
            request.tool_call_id,
            request.answer,
            subject.scalar_subquery().label("answered_by"),
            request.created_at.label("asked_at"),
            request.due_at,
            request.answered_at,
            message_of_call(execution_id, request.tool_call_id).label("message_seq"),
        ],
        where=[request.execution_id == execution_id],
        order=[request.id],
        limits=OTHERS,
        to_entry=lambda row: _input_request(row, now),
    )


def _input_request(row: Any, now: datetime) -> InputRequest:
    answer: Mapping[str, Any] = row.answer or {}
    until = row.answered_at or (row.due_at if row.status == "expired" else None) or now
    return InputRequest(
        **_fields(row, "id kind status tool_call_id answered_by asked_at answered_at message_seq"),
        title=read_excerpt(row, "title") or Excerpt.of("", 0),
        decision=answer.get("decision"),
        answer=_answer(answer),
        waited_ms=count_ms(row.asked_at, until) or 0,
    )


def _answer(answer: Mapping[str, Any]) -> Excerpt | None:
    """The values or the edited input, and the message; None for a decision without them."""
    values = answer.get("values")
    values = answer.get("input") if is_empty(values) else values
    if isinstance(values, Mapping) and set(values) == {"answer"}:
        values = values["answer"]
    parts = [] if values is None else [format_value(values) or json.dumps(values)]
    parts += [message] if (message := answer.get("message")) else []
    return Excerpt.of("\n".join(parts), SENTENCE_CHARS) if parts else None


async def read_subtasks(session: AsyncSession, execution_id: UUID) -> ListEnds[Subtask]:
    """The executions that this one started."""
    child = ExecutionRow
    return await read_ends(
        session,
        child.id,
        [
            child.id.label("execution_id"),
            child.title,
            child.status,
            child.cost_usd,
            child.started_at,
            child.completed_at,
            message_of_call(execution_id, child.parent_tool_call_id).label("message_seq"),
        ],
        where=[child.parent_execution_id == execution_id],
        order=[child.id],
        limits=OTHERS,
        to_entry=lambda row: Subtask(
            **_fields(row, "execution_id title status cost_usd message_seq"),
            duration_ms=count_ms(row.started_at, row.completed_at),
        ),
    )


_FILE = "id name kind media_type size_bytes sha256"


async def read_artifacts(session: AsyncSession, execution_id: UUID) -> ListEnds[Artifact]:
    """The files that it saved."""
    return await read_ends(
        session,
        ArtifactRow.id,
        [
            *(getattr(ArtifactRow, name) for name in _FILE.split()),
            message_of_call(execution_id, ArtifactRow.tool_call_id).label("message_seq"),
        ],
        where=[ArtifactRow.execution_id == execution_id],
        order=[ArtifactRow.id],
        limits=OTHERS,
        to_entry=lambda row: Artifact(**_fields(row, f"{_FILE} message_seq")),
    )
