"""Routes of remembered decisions: the rules that answers to approvals have stored."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.http.paging import Listing
from api.http.rendering import render_page
from api.http.request_context import Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.input_requests.remembered_schemas import (
    RememberedDecisionRead,
    RememberedQuery,
    render_rule,
)
from api.links import BASE
from services.executions.remembering import REMEMBERED_DECISIONS, RememberedFilter

router = APIRouter(prefix=f"{BASE}/remembered-decisions", tags=["input requests"])


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
