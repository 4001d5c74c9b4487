"""Routes of remembered decisions: the rules that answers to approvals have stored."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.http.paging import Listing, ListQuery
from api.http.rendering import render_page
from api.http.request_context import Call, Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.schemas import Read, from_row
from domain.model_json import make_encodable
from persistence.tables.people import RememberedDecisionRow
from services.executions.remembering import REMEMBERED_DECISIONS, RememberedFilter

router = APIRouter(prefix="/remembered-decisions", tags=["input requests"])


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


class RememberedQuery(ListQuery):
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


@router.get("", responses={200: {"model": Listing[RememberedDecisionRead]}})
async def list_remembered_decisions(
    call: Called, query: Annotated[RememberedQuery, Query()]
) -> Response:
    """List the remembered decisions that you may revoke, newest first, without the revoked ones."""
    narrowed = RememberedFilter.model_validate(query.filters())
    async with call.gateway.database.reading() as session:
        page = await REMEMBERED_DECISIONS.page(session, call.caller, narrowed, query.window())
    return render_page(call, query, page, render_rule)


routes = ResourceRoutes(
    router,
    "remembered_decision",
    RememberedDecisionRead,
    render_rule,
    "/{rule_id}",
    path_key("rule_id"),
)
routes.add_get(REMEMBERED_DECISIONS.find, "Get a remembered decision.")
routes.add_delete(
    REMEMBERED_DECISIONS.delete,
    "Revoke a remembered decision: the next call that it covers needs approval again. Calls that "
    "it has decided already stay as they are.",
    verb="revoke",
)
