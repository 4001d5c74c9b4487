"""What people are asked, and how they answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.http.field_types import Body, Read, Text


class AnswerBody(Body):
    """An answer.

    To an approval: `decision`, with `edit` the edited `input`. To a question: `values` where it has
    a schema or options (`{"answer": "one of the options"}` will do), else a `message`.
    """

    decision: Literal["approve", "deny", "edit"] | None = None
    input: dict[str, Any] | None = None
    message: Text | None = None
    remember: Literal["once", "execution", "task"] | None = None
    values: Any = None
    input_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class AskedToolCall(BaseModel):
    """The tool call an approval is about; what runs is exactly what was approved.

    An edited input must fit `input_schema`.
    """

    name: str
    input: Any
    input_sha256: str
    input_schema: dict[str, Any] | None


class InputRequestRead(Read):
    """Something a person must answer (contract.md, section 5)."""

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
