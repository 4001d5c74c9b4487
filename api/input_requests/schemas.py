"""Schemas of input requests, of one and of several that are answered together."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api import links
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from domain.model.json_values import make_encodable
from domain.people.remembered_decisions import suggest_pattern
from persistence.executions.request_changes import RequestChanges
from persistence.tables.sessions import InputRequestRow


class AskedToolCall(BaseModel):
    """The tool call to approve. Exactly this call runs after the approval.

    An edited input must match `input_schema`. `suggested_pattern` is a `remember_pattern` for an
    answer that is to be remembered; null if only exactly this input can be.
    """

    name: str
    input: Any
    input_sha256: str
    input_schema: dict[str, Any] | None
    suggested_pattern: str | None


class CommentRead(BaseModel):
    """A comment on a request. The model does not receive it.

    `mentions` are the users and groups that it names as `@ann` or `@group:legal`.
    """

    id: UUID
    user_id: UUID
    author: str
    body: str
    mentions: list[str] = []
    created_at: datetime


class ReminderRead(BaseModel):
    """A planned reminder; `sent_at` is null until it was sent."""

    at: datetime
    sent_at: datetime | None


class EscalationRead(BaseModel):
    """What happens to a request at its due time: it gets another assignee and due time."""

    to: str
    due_seconds: float
    on_expiry: str


class ApprovalRead(BaseModel):
    """One of several approvals that a request needs."""

    user_id: UUID
    author: str
    message: str | None
    at: datetime


class ChangesRead(BaseModel):
    """The changes since a request was opened; the first twenty paths are in `files`."""

    model_config = ConfigDict(from_attributes=True)

    task_version: Annotated[
        int | None, Field(description="The newest version of the task, if it was edited.")
    ]
    messages: int
    files: list[str]
    other_calls: int


class InputRequestRead(Read):
    """A request that a person must answer."""

    id: UUID
    execution_id: UUID
    kind: str
    title: str
    body: str | None
    options: Any
    answer_schema: dict[str, Any] | None = Field(serialization_alias="schema")
    tool_call: AskedToolCall | None
    assignee: str | None
    status: str
    due_at: datetime | None
    on_expiry: str
    default_answer: Any
    escalation: EscalationRead | None
    reminders: list[ReminderRead]
    claimed_by: Annotated[
        str | None, Field(description="The user who works on it; others can still answer.")
    ]
    claimed_at: datetime | None
    approvals_required: Annotated[
        int, Field(description="How many people must approve before the call runs.")
    ]
    approvals: list[ApprovalRead]
    starter_may_not_approve: bool
    answer: dict[str, Any] | None
    answered_by: UUID | None
    answered_at: datetime | None
    effective_at: Annotated[
        datetime | None,
        Field(description="When an answer with `undo_seconds` takes effect, or took effect."),
    ]
    comments: list[CommentRead]
    created_at: datetime
    changes: Annotated[
        ChangesRead | None,
        Field(description="Since it was opened; null in lists and once it is closed."),
    ]


def render_input_request(
    _: Call, row: InputRequestRow, changes: RequestChanges | None = None
) -> InputRequestRead:
    """Return an input request with the tool call it is about."""
    return from_row(
        InputRequestRead,
        row,
        changes=None if changes is None else ChangesRead.model_validate(changes),
        answer_schema=row.schema,
        tool_call=_render_tool_call(row),
        links=links.input_request(row),
    )


def _render_tool_call(row: InputRequestRow) -> AskedToolCall | None:
    if row.tool_name is None or row.tool_input is None or row.input_sha256 is None:
        return None
    tool_input = json.loads(row.tool_input)
    return AskedToolCall(
        name=row.tool_name,
        input=make_encodable(tool_input),
        input_sha256=row.input_sha256.hex(),
        input_schema=row.tool_input_schema,
        suggested_pattern=suggest_pattern(row.tool_name, tool_input),
    )


class UnchangedRequest(BaseModel):
    """A request that was not changed, and why."""

    id: UUID
    code: str
    reason: str


class AlikeResult(BaseModel):
    """What one decision about several requests has done."""

    answered: int
    input_request_ids: list[UUID]
    held_ids: Annotated[
        list[UUID],
        Field(description="Those whose answers take effect later, because of `undo_seconds`."),
    ]
    approved_ids: Annotated[
        list[UUID],
        Field(description="Your approval is stored, but they need approvals of more people."),
    ]
    skipped: list[UnchangedRequest]
    links: dict[str, str] = Field(serialization_alias="_links")


class WithdrawResult(BaseModel):
    """The requests that are open again, and the others."""

    input_request_ids: list[UUID]
    skipped: list[UnchangedRequest]
    links: dict[str, str] = Field(serialization_alias="_links")
