"""Executions and their timelines, from rows to what clients read."""

import json
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from api import links
from api.executions.schemas import ExecutionRead, MessageRead, ModelCallRead, ToolCallRead
from api.http.request_context import Call
from api.http.schemas import from_row
from domain.model_json import parse_json
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import MessageRow, ModelCallRow, ToolCallRow

_COLUMNS = tuple(f for f in ExecutionRead.model_fields if f != "links")


def render_execution(
    call: Call, row: ExecutionRow, unreadable: Collection[UUID] = frozenset()
) -> ExecutionRead:
    """Return an execution as this caller sees it, without links to what is `unreadable`."""
    columns = {column: getattr(row, column) for column in _COLUMNS}
    return ExecutionRead(**columns, links=links.execution(call, columns, unreadable))


def render_cached_execution(call: Call, columns: Mapping[str, Any]) -> ExecutionRead:
    """Return the same from the columns of a cached read, which has columns beyond the resource."""
    unreadable = set()
    reader = columns["task_reader"]
    if reader is None or not call.owns(reader):
        unreadable.add(columns["task_id"])
    if columns["session_is_deleted"]:
        unreadable.add(columns["session_id"])
    return ExecutionRead(**columns, links=links.execution(call, columns, unreadable))


def render_message(row: MessageRow) -> MessageRead:
    """Return a message with its content blocks as they arrived."""
    return from_row(MessageRead, row, content=json.loads(row.content))


def render_tool_call(row: ToolCallRow) -> ToolCallRead:
    """Return a tool call."""
    approved = row.approved_input
    return from_row(
        ToolCallRead,
        row,
        input=_parse_input(row.input),
        approved_input=None if approved is None else json.loads(approved),
        input_sha256=row.input_sha256.hex(),
    )


def render_model_call(row: ModelCallRow) -> ModelCallRead:
    """Return one try of a model call."""
    return ModelCallRead.model_validate(row)


def _parse_input(text: str) -> Any:
    """Return the input of a tool call; if the model sent no JSON, the text itself."""
    try:
        return parse_json(text)
    except ValueError:
        return text
