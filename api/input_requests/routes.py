"""Routes of input requests: questions and approvals that wait for a person."""

from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery
from api.http.rendering import render_page
from api.http.request_context import Called
from api.http.responses import single
from api.input_requests.schemas import InputRequestRead
from api.input_requests.views import render_input_request, respond_input_request
from persistence.executions import input_requests
from persistence.executions.input_requests import RequestFilter
from services.executions import answers
from services.executions.access import answerable_request
from services.executions.inputs import AnswerBody

router = APIRouter(prefix="/input-requests", tags=["input requests"])

Kind = Literal["question", "approval", "plan_approval", "budget", "effect_check", "form"]


class InputRequestQuery(ListQuery):
    """Filters of a list of input requests."""

    status: Literal["open", "answered", "expired", "cancelled"] | None = None
    kind: Kind | None = None
    assignee: Annotated[str | None, Field(max_length=255)] = None
    execution_id: UUID | None = None


@router.get("", responses={200: {"model": Listing[InputRequestRead]}})
async def list_input_requests(
    call: Called, query: Annotated[InputRequestQuery, Query()]
) -> Response:
    """List the requests of your executions and those assigned to you, newest first."""
    filters = RequestFilter(query.status, query.kind, query.assignee, query.execution_id)
    async with call.gateway.database.reading() as session:
        me = call.principal
        page = await input_requests.page(
            session, me.user_id, filters, query.window(), subject=me.subject
        )
    return render_page(call, query, page, render_input_request)


@router.get("/{request_id}", responses={200: {"model": InputRequestRead}})
async def get_input_request(call: Called, request_id: UUID) -> Response:
    """Get an input request."""
    async with call.gateway.database.reading() as session:
        row = await answerable_request(session, call.caller, request_id)
    return single(call.request, render_input_request(call, row))


@router.post("/{request_id}/answer", responses={200: {"model": InputRequestRead}})
async def answer_input_request(
    call: Called,
    request_id: UUID,
    body: Annotated[AnswerBody, Depends(JsonBody(AnswerBody))],
) -> Response:
    """Answer a request; the execution then continues."""
    service = partial(answers.answer, request_id=request_id, body=body)
    return await run_service(call, service, respond_input_request)
