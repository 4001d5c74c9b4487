"""Request and response bodies of input requests."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.http.field_types import Body, Read, Text


class AnswerBody(Body):
    """An answer.

    For an approval, send `decision`; with `edit`, also the edited `input`. For a question with a
    schema or options, send `values` (for example `{"answer": "one of the options"}`), otherwise a
    `message`.
    """

    decision: Literal["approve", "deny", "edit"] | None = None
    input: dict[str, Any] | None = None
    message: Text | None = None
    remember: Literal["once", "execution", "task"] | None = None
    values: Any = None
    input_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class AskedToolCall(BaseModel):
    """The tool call to approve. Exactly this call runs after the approval.

    An edited input must match `input_schema`.
    """

    name: str
    input: Any
    input_sha256: str
    input_schema: dict[str, Any] | None


class InputRequestRead(Read):
    """A request that a person must answer (contract.md, section 5)."""

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
