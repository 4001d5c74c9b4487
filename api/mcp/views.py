"""Executions, input requests and artifacts as the results of tools contain them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.mcp.context import ToolContext
from domain.executions.states import ExecutionStatus
from domain.model.json_values import make_encodable, parse_json
from domain.people.nested_forms import hide_secrets
from domain.people.requests import QUESTIONS, RequestKind
from persistence.executions import input_requests
from persistence.tables.sessions import ArtifactRow, InputRequestRow
from services.field_types import UsdOut

MOST_REQUESTS = 20
"""Open requests in one result (chosen: an execution rarely has more than one)."""


class View(BaseModel):
    """Base of the parts of a result."""

    model_config = ConfigDict(frozen=True)


class RequestView(View):
    """A question or approval that a person must answer before the execution continues."""

    input_request_id: UUID
    execution_id: UUID
    kind: str
    status: str
    title: str
    body: str | None
    options: Any
    answer_schema: dict[str, Any] | None
    tool_name: str | None
    tool_input: Any
    assignee: str | None
    due_at: datetime | None
    answer: dict[str, Any] | None
    answered_at: datetime | None
    needs_person: Annotated[
        bool, Field(description="Only a person may answer it, at `url`; it is not a question.")
    ]
    url: Annotated[str, Field(description="The page on which a person answers it.")]


class AnsweredView(View):
    """A request that a person has answered, at this client or elsewhere."""

    input_request_id: UUID
    kind: str
    title: str
    answer: dict[str, Any] | None
    answered_by: Annotated[str, Field(description="The subject of the user who answered.")]
    answered_at: datetime | None


class ExecutionView(View):
    """The state of an execution, and its result if it has ended."""

    execution_id: UUID
    task_id: UUID | None
    session_id: UUID | None
    title: str
    status: ExecutionStatus
    status_reason: str | None
    has_ended: bool
    wakes_at: datetime | None
    result: Annotated[Any, Field(description="The final text, or the object of output_schema.")]
    error_code: str | None
    error_message: str | None
    turns: int
    tool_calls: int
    cost_usd: UsdOut
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    missing_variables: list[str]
    warnings: list[str]


class ArtifactView(View):
    """A stored file."""

    artifact_id: UUID
    execution_id: UUID | None
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    created_at: datetime


def shorten(text: str | None, most: int) -> str | None:
    """The text with at most this many characters, and a mark if there were more."""
    return text if text is None or len(text) <= most else f"{text[:most]}…"


def view_execution(columns: Mapping[str, Any]) -> ExecutionView:
    """The state of an execution from the columns of a cached read."""
    status = ExecutionStatus(columns["status"])
    return ExecutionView(
        execution_id=columns["id"],
        turns=columns["total_turns"],
        tool_calls=columns["total_tool_calls"],
        has_ended=status.is_terminal,
        result=_result_of(columns["result_data"]),
        **{name: columns[name] for name in _COPIED},
    )


_COPIED = frozenset(ExecutionView.model_fields) - {
    "execution_id",
    "turns",
    "tool_calls",
    "has_ended",
    "result",
}


def _result_of(data: Mapping[str, Any] | None) -> Any:
    """The object that the model returned, otherwise its last text."""
    if not data:
        return None
    return data["output"] if data.get("output") is not None else data.get("text")


def view_request(context: ToolContext, row: InputRequestRow) -> RequestView:
    """An input request, with the URL at which a person answers it."""
    tool_input = None if row.tool_input is None else make_encodable(parse_json(row.tool_input))
    return RequestView(
        input_request_id=row.id,
        execution_id=row.execution_id,
        kind=row.kind,
        status=row.status,
        title=row.title,
        body=row.body,
        options=row.options,
        answer_schema=row.schema,
        tool_name=row.tool_name,
        tool_input=tool_input,
        assignee=row.assignee,
        due_at=row.due_at,
        answer=_hide_secrets(row),
        answered_at=row.answered_at,
        needs_person=RequestKind(row.kind) not in QUESTIONS,
        url=context.request_page(row.id),
    )


def _hide_secrets(row: InputRequestRow) -> dict[str, Any] | None:
    """The answer without secrets that a person entered for a server; models must not read them."""
    if row.answer is None or "values" not in row.answer:
        return row.answer
    return {**row.answer, "values": hide_secrets(row.schema, row.answer["values"])}


async def open_requests(context: ToolContext, execution_id: UUID) -> Sequence[RequestView]:
    """The open requests of an execution of the caller and of its subtasks, oldest first."""
    async with context.reading() as session:
        rows = await input_requests.list_open(session, execution_id)
    return [view_request(context, row) for row, _ in rows[:MOST_REQUESTS]]


async def answered_requests(context: ToolContext, execution_id: UUID) -> Sequence[AnsweredView]:
    """The latest answered requests of an execution and its subtasks, oldest first."""
    async with context.reading() as session:
        rows = await input_requests.list_answered(session, execution_id, limit=MOST_REQUESTS)
    return [
        AnsweredView(
            input_request_id=row.id,
            kind=row.kind,
            title=row.title,
            answer=_hide_secrets(row),
            answered_by=subject,
            answered_at=row.answered_at,
        )
        for row, subject in rows
    ]


def view_artifact(row: ArtifactRow) -> ArtifactView:
    """The description of a stored file."""
    return ArtifactView(
        artifact_id=row.id,
        execution_id=row.execution_id,
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        created_at=row.created_at,
    )
