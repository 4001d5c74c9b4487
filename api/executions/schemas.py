"""Executions and what belongs to their timeline, as clients ask for them and read them."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    computed_field,
)
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.http.paging import IdRange, ListQuery, OwnedQuery, split_values
from api.http.rendering import render_items
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from domain.memory.entries import MemoryAction
from domain.model.json_values import make_encodable, parse_json
from domain.web.connections import Verdict as ConnectionVerdict
from persistence.db.paging import Page
from persistence.executions.visibility import find_unreadable
from persistence.tables.executions import ExecutionRow
from persistence.tables.memory import MemoryUseRow
from persistence.tables.sessions import MessageRow, ModelCallRow, ToolCallRow
from services.executions.inputs import Narrowing
from services.field_types import UsdOut


class ExecutionQuery(Narrowing, OwnedQuery):
    """Filters and page. `status` can be repeated or contain commas."""

    status: Annotated[tuple[ExecutionStatus, ...], BeforeValidator(split_values)] = ()
    parent_id: UUID | None = None
    session_id: UUID | None = None

    def created_ids(self) -> IdRange:
        """No bounds: the database's time decides (`ExecutionFilter`)."""
        return None, None


class Skipped(BaseModel):
    """An execution that was skipped, and the reason."""

    id: UUID
    code: str
    reason: str


class BulkResult(BaseModel):
    """The result. `execution_ids` contains the changed executions; for a retry, the new ones.

    For a dry run, it contains the executions that would be changed. If `has_more` is true, send the
    same request again.
    """

    matched: int
    changed: int
    skipped: list[Skipped]
    execution_ids: list[UUID]
    has_more: bool
    links: dict[str, str] = Field(serialization_alias="_links")


class ExecutionRead(Read):
    """An execution: one run, usually of a task."""

    id: UUID
    user_id: UUID
    task_id: UUID | None
    task_version: int | None
    session_id: UUID | None
    report_id: UUID | None
    parent_execution_id: UUID | None
    retry_of_id: UUID | None
    forked_from_id: UUID | None
    title: str
    summary: str | None
    agent_id: str | None
    executor: str
    tags: list[str]
    trigger_type: str
    trigger_metadata: dict[str, Any]
    prompt_variables: dict[str, Any]
    missing_variables: list[str]
    warnings: Annotated[list[str], Field(description="What will probably go wrong.")]
    rendered_prompt: str | None
    status: ExecutionStatus
    status_reason: str | None
    wakes_at: datetime | None
    error_message: str | None
    error_code: Annotated[str | None, Field(description=f"One of {', '.join(ErrorCode)}.")]
    result_data: dict[str, Any] | None
    report_error: str | None
    total_messages: int
    total_tool_calls: int
    total_turns: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: UsdOut
    is_scripted: Annotated[
        bool,
        Field(
            description="The scripted model answered, not Claude. Its calls count against budgets, "
            "but nothing was paid: usage and quotas leave their cost out."
        ),
    ]
    budget_usd: UsdOut | None
    priority: int
    calculated_priority: Annotated[
        float | None,
        Field(description="0 to 100, the order of external work; null for other executions."),
    ]
    dependency_depth: Annotated[
        int, Field(description="The length of the longest chain of prerequisites below it.")
    ]
    source: str | None
    estimated_duration_seconds: float | None
    input_data: dict[str, Any] | None
    workflow_id: str
    run_id: str | None
    deadline_at: datetime | None
    claimed_by: Annotated[str | None, Field(description="The worker of an external execution.")]
    claimed_at: datetime | None
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_reason: str | None
    pause_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def duration_ms(self) -> int | None:
        """The time from start to end; null until the end."""
        if self.completed_at is None or self.started_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds() * 1000)

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def duration_seconds(self) -> float | None:
        """The duration in seconds."""
        return None if self.duration_ms is None else self.duration_ms / 1000


class Line(BaseModel):
    """Base class of timeline items; they have no links."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class EventRead(Line):
    """An event of an execution."""

    seq: int
    type: str
    at: datetime
    execution_id: UUID
    data: dict[str, Any]


class MessageRead(Line):
    """A message of a session; `content` is a list of Anthropic content blocks."""

    id: UUID
    session_id: UUID
    execution_id: UUID
    seq: int
    role: str
    content: list[Any]
    model: str | None
    stop_reason: str | None
    usage: dict[str, Any] | None
    cost_usd: UsdOut | None
    request_id: str | None
    created_at: datetime


class ConnectionRead(BaseModel):
    """A connection of a tool call. `failed`: it was allowed, but the host could not be reached."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    host: str
    port: int
    verdict: ConnectionVerdict
    reason: str | None
    address: Annotated[str | None, Field(description="The address that was checked and used.")]
    sent_bytes: int
    received_bytes: int


class ConnectionLogRead(BaseModel):
    """What a tool call connected to: at most 100 connections; the counts include all of them."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    connections: list[ConnectionRead]
    total: int
    refused: int
    sent_bytes: int
    received_bytes: int


class ToolCallRead(Line):
    """A tool call: the request of the model, the decision and the result.

    `input` is a string if the model sent invalid JSON. `child_execution_ids` are the subtasks that
    the call started; `child_execution_id` is set if it is one.
    """

    id: UUID
    execution_id: UUID
    turn: int
    position: int
    tool_use_id: str
    name: str
    input: Any
    approved_input: Any
    input_sha256: str
    effect: str
    status: str
    reason: str | None
    output: str | None
    is_error: bool
    output_artifact_id: UUID | None
    connections: Annotated[
        ConnectionLogRead | None,
        Field(description="Null if the call connected to nothing, or had no network."),
    ]
    child_execution_id: UUID | None
    child_execution_ids: list[UUID]
    remembered_decision_id: Annotated[
        UUID | None,
        Field(description="The remembered decision that allowed or denied the call."),
    ]
    wakes_at: datetime | None
    superseded_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class ModelCallRead(Line):
    """An attempt of a model call."""

    id: UUID
    execution_id: UUID
    turn: int
    try_number: int
    status: str
    model: str
    max_tokens: int
    stop_reason: str | None
    stop_details: dict[str, Any] | None
    usage: dict[str, Any] | None
    usage_estimated: Annotated[
        bool,
        Field(
            description="Whether `cost_usd` is the estimate that was made before the call: its "
            "answer did not come, because the call was cancelled or the connection lost."
        ),
    ]
    is_scripted: bool
    cost_usd: UsdOut | None
    error_kind: str | None
    error_message: str | None
    http_status: int | None
    request_id: str | None
    first_token_ms: int | None
    superseded_at: datetime | None
    started_at: datetime
    completed_at: datetime | None


class MemoryUseRead(Line):
    """A version of a memory entry that an execution read or wrote.

    `found`: a search returned the beginning of its value. `tool_use_id` is the call of the model's
    tool; null for a client of the MCP server that named the execution.
    """

    id: UUID
    execution_id: UUID
    tool_use_id: str | None
    namespace: str
    key: str
    version: int
    action: MemoryAction
    created_at: datetime


_COLUMNS = tuple(f for f in ExecutionRead.model_fields if f != "links")


def render_execution(
    call: Call, row: ExecutionRow, unreadable: Collection[UUID] = frozenset()
) -> ExecutionRead:
    """Return an execution as this caller sees it, without links to what is `unreadable`."""
    columns = {column: getattr(row, column) for column in _COLUMNS}
    return ExecutionRead(**columns, links=links.execution(call, columns, unreadable))


def render_cached_execution(call: Call, columns: Mapping[str, Any]) -> ExecutionRead:
    """Return the same from the columns of a cached read."""
    return ExecutionRead(**cached_fields(call, columns))


def cached_fields(call: Call, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an execution as this caller sees it, and columns beyond the resource."""
    unreadable = set()
    reader = columns["task_reader"]
    if reader is None or not call.caller.owns(reader):
        unreadable.add(columns["task_id"])
    if columns["session_is_deleted"]:
        unreadable.add(columns["session_id"])
    return {**columns, "links": links.execution(call, columns, unreadable)}


def render_message(row: MessageRow) -> MessageRead:
    """Return a message with its content blocks as they are stored.

    Blocks that an earlier version stored may contain lone surrogates, also in keys.
    """
    return from_row(MessageRead, row, content=make_encodable(json.loads(row.content)))


def render_tool_call(row: ToolCallRow) -> ToolCallRead:
    """Return a tool call."""
    approved = row.approved_input
    return from_row(
        ToolCallRead,
        row,
        input=_parse_input(row.input),
        approved_input=None if approved is None else _parse_input(approved),
        input_sha256=row.input_sha256.hex(),
    )


def render_model_call(row: ModelCallRow) -> ModelCallRead:
    """Return one try of a model call."""
    return ModelCallRead.model_validate(row)


def render_memory_use(row: MemoryUseRow) -> MemoryUseRead:
    """Return one use of a memory entry."""
    return MemoryUseRead.model_validate(row)


def _parse_input(text: str) -> Any:
    """Return the input of a tool call; if the model sent no JSON, the text itself."""
    try:
        return make_encodable(parse_json(text))
    except ValueError:
        return text


async def readable_views(
    session: AsyncSession, call: Call, rows: Sequence[ExecutionRow]
) -> list[ExecutionRead]:
    """Return executions with links only to what the caller can read."""
    unreadable = await find_unreadable(
        session,
        task_ids=[row.task_id for row in rows],
        session_ids=[row.session_id for row in rows],
        by=call.caller.reader_id,
    )
    return [render_execution(call, row, unreadable) for row in rows]


async def render_page(
    session: AsyncSession, call: Call, query: ListQuery, page: Page[ExecutionRow]
) -> Response:
    """Return a page of executions."""
    return render_items(call, query, page, await readable_views(session, call, page.rows))
