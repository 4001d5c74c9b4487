"""Executions, and what happened in them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    computed_field,
)

from api.http.paging import ListQuery
from domain.states import ExecutionStatus
from services.executions.inputs import Narrowing
from services.field_types import Read, UsdOut


def _separated(value: Any) -> Any:
    """`a,b` as `a` and `b`, wherever it stands."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        return value
    return [part.strip() for item in given for part in item.split(",")]


class ExecutionQuery(Narrowing, ListQuery):
    """Which page of which executions. `status` may be repeated or separated by commas."""

    status: Annotated[tuple[ExecutionStatus, ...], BeforeValidator(_separated)] = ()
    parent_id: UUID | None = None
    session_id: UUID | None = None


class Skipped(BaseModel):
    """An execution that was passed over."""

    id: UUID
    code: str
    reason: str


class BulkResult(BaseModel):
    """What came of it. `execution_ids` are the changed ones, or the new ones of a retry.

    After a dry run they are those that would be changed. `has_more`: the same request goes on.
    """

    matched: int
    changed: int
    skipped: list[Skipped]
    execution_ids: list[UUID]
    has_more: bool
    links: dict[str, str] = Field(serialization_alias="_links")


class ExecutionRead(Read):
    """One run (contract.md, section 3)."""

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
    rendered_prompt: str | None
    status: ExecutionStatus
    status_reason: str | None
    wakes_at: datetime | None
    error_message: str | None
    error_code: str | None
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
    budget_usd: UsdOut | None
    priority: int
    workflow_id: str
    run_id: str | None
    deadline_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_reason: str | None
    pause_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def duration_ms(self) -> int | None:
        """From the start to the end; nothing before the end."""
        if self.completed_at is None or self.started_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds() * 1000)

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def duration_seconds(self) -> float | None:
        """The same in seconds."""
        return None if self.duration_ms is None else self.duration_ms / 1000


class Line(BaseModel):
    """Base of what a story consists of: made from rows, without links of its own."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class EventRead(Line):
    """One event of an execution's story, as a list has it (contract.md, section 7)."""

    seq: int
    type: str
    at: datetime
    execution_id: UUID
    data: dict[str, Any]


class MessageRead(Line):
    """One message of a conversation; `content` holds Anthropic content blocks."""

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


class ToolCallRead(Line):
    """One tool call: what the model asked for, what was decided, what came of it.

    `input` is text where the model sent no JSON.
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
    child_execution_id: UUID | None
    wakes_at: datetime | None
    superseded_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class ModelCallRead(Line):
    """One try of one model call."""

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
    usage_estimated: bool
    cost_usd: UsdOut | None
    error_kind: str | None
    error_message: str | None
    http_status: int | None
    request_id: str | None
    first_token_ms: int | None
    superseded_at: datetime | None
    started_at: datetime
    completed_at: datetime | None
