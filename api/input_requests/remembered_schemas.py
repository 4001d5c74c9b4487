"""Remembered decisions as clients read them."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from api.http.paging import ResourceQuery
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from domain.model.json_values import make_encodable
from persistence.tables.people import RememberedDecisionRow


class RememberedDecisionRead(Read):
    """A rule that decides later calls of one tool without a request."""

    paths = {
        "self": "/remembered-decisions/{id}",
        "input_request": "/input-requests/{input_request_id}",
        "execution": "/task-executions/{execution_id}",
        "task": "/tasks/{task_id}",
    }

    id: UUID
    user_id: Annotated[UUID, Field(description="The user to whose executions the rule applies.")]
    author_id: Annotated[UUID, Field(description="The user who gave the answer.")]
    input_request_id: UUID
    scope: Literal["execution", "task"]
    execution_id: UUID | None
    task_id: UUID | None
    decision: Literal["approve", "deny"]
    tool_name: str
    tool_input: Annotated[Any, Field(description="The input that the author saw.")]
    input_sha256: str
    pattern: Annotated[
        str | None, Field(description="Null: the rule covers exactly the same input.")
    ]
    message: str | None
    created_at: datetime
    expires_at: datetime | None


class RememberedQuery(ResourceQuery):
    """Filters of a list of remembered decisions, by what they apply to."""

    task_id: UUID | None = None
    execution_id: UUID | None = None


def render_rule(_: Call, row: RememberedDecisionRow) -> RememberedDecisionRead:
    """Return a rule with the input that its author saw."""
    return from_row(
        RememberedDecisionRead,
        row,
        tool_input=make_encodable(json.loads(row.tool_input)),
        input_sha256=row.input_sha256.hex(),
    )
