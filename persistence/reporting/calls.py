"""The calls of an execution as its report lists them: model calls and tool calls."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from domain.report_facts import ModelCall, TokenCounts, ToolCallSummary
from domain.steps import CallStatus
from persistence.reporting.bounded import (
    SENTENCE_CHARS,
    Ends,
    Kept,
    beginning,
    ends,
    excerpt,
    milliseconds,
    shortened,
)
from persistence.reporting.places import message_of_turn
from persistence.tables.model_calls import ModelCallRow
from persistence.tables.tool_calls import ToolCallRow

CALLS = Kept(first=50, last=150)
"""Tool calls and model calls: most runs have fewer (chosen)."""

INPUT_CHARS, OUTPUT_CHARS = 800, 1_600
"""Of a tool call: a screenful, so that 200 of them stay below half a megabyte (chosen)."""


async def tool_calls(session: AsyncSession, execution_id: UUID) -> Ends[ToolCallSummary]:
    """The live tool calls, in the order the model asked."""
    ran = func.coalesce(ToolCallRow.approved_input, ToolCallRow.input)
    return await ends(
        session,
        ToolCallRow.id,
        [
            *(getattr(ToolCallRow, name) for name in _PLAIN_TOOL_CALL),
            *beginning(ran, "input", INPUT_CHARS),
            *beginning(ToolCallRow.output, "output", OUTPUT_CHARS),
            ToolCallRow.approved_input.is_not(None).label("was_edited"),
            func.coalesce(ToolCallRow.started_at, ToolCallRow.created_at).label("started_at"),
            ToolCallRow.completed_at,
            message_of_turn(execution_id, ToolCallRow.turn).label("message_seq"),
        ],
        where=[ToolCallRow.execution_id == execution_id, ToolCallRow.superseded_at.is_(None)],
        order=[ToolCallRow.turn, ToolCallRow.position, ToolCallRow.id],
        kept=CALLS,
        part=_tool_call,
    )


_PLAIN_TOOL_CALL = (
    "id",
    "turn",
    "tool_use_id",
    "name",
    "status",
    "reason",
    "is_error",
    "output_artifact_id",
    "child_execution_id",
)


def _tool_call(row: Any) -> ToolCallSummary:
    return ToolCallSummary(
        **{name: getattr(row, name) for name in (*_PLAIN_TOOL_CALL, "was_edited", "message_seq")},
        input=excerpt(row, "input") or shortened("", 0),
        output=excerpt(row, "output"),
        started_at=row.started_at,
        duration_ms=milliseconds(row.started_at, row.completed_at),
    )


async def model_calls(session: AsyncSession, execution_id: UUID) -> Ends[ModelCall]:
    """The live tries of every turn."""
    return await ends(
        session,
        ModelCallRow.id,
        [
            *(getattr(ModelCallRow, name) for name in _PLAIN_MODEL_CALL),
            *beginning(ModelCallRow.error_message, "error", SENTENCE_CHARS),
            ModelCallRow.usage,
            ModelCallRow.usage_estimated,
            ModelCallRow.last_message_seq,
            ModelCallRow.completed_at,
        ],
        where=[ModelCallRow.execution_id == execution_id, ModelCallRow.superseded_at.is_(None)],
        order=[ModelCallRow.turn, ModelCallRow.try_number, ModelCallRow.id],
        kept=CALLS,
        part=_model_call,
    )


_PLAIN_MODEL_CALL = (
    "turn",
    "try_number",
    "model",
    "status",
    "stop_reason",
    "cost_usd",
    "started_at",
    "first_token_ms",
)


def _model_call(row: Any) -> ModelCall:
    usage: Mapping[str, int] = row.usage or {}
    written = usage.get("cache_write_5m_tokens", 0) + usage.get("cache_write_1h_tokens", 0)
    return ModelCall(
        **{name: getattr(row, name) for name in _PLAIN_MODEL_CALL},
        error=excerpt(row, "error"),
        tokens=TokenCounts(
            input=usage.get("input_tokens", 0),
            output=usage.get("output_tokens", 0),
            cache_read=usage.get("cache_read_tokens", 0),
            cache_write=written,
        ),
        is_cost_estimated=row.usage_estimated,
        message_seq=row.last_message_seq + 1 if row.status == CallStatus.SUCCEEDED else None,
        duration_ms=milliseconds(row.started_at, row.completed_at),
    )
