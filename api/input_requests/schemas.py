"""Request and response bodies of input requests."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from api.http.schemas import Read


class AskedToolCall(BaseModel):
    """The tool call to approve. Exactly this call runs after the approval.

    An edited input must match `input_schema`.
    """

    name: str
    input: Any
    input_sha256: str
    input_schema: dict[str, Any] | None


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
    answer: dict[str, Any] | None
    answered_by: UUID | None
    answered_at: datetime | None
    created_at: datetime
