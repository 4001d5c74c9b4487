"""Input requests: list, read and answer."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.http.bodies import JsonBody
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.input_requests.schemas import AnswerBody, InputRequestRead
from domain.errors import NotFoundError
from persistence.executions import input_requests, queries
from persistence.executions.input_requests import RequestFilter
from persistence.ledger import audit
from persistence.tables.input_requests import InputRequestRow
from services.executions.answers import given_answer

router = APIRouter(prefix="/input-requests", tags=["input requests"])

Kind = Literal["question", "approval", "plan_approval", "budget", "effect_check", "form"]


class InputRequestQuery(ListQuery):
    """Filters for input requests."""

    status: Literal["open", "answered", "expired", "cancelled"] | None = None
    kind: Kind | None = None
    assignee: Annotated[str | None, Field(max_length=255)] = None
    execution_id: UUID | None = None


@router.get("", responses={200: {"model": Listing[InputRequestRead]}})
async def list_input_requests(
    call: Called, query: Annotated[InputRequestQuery, Query()]
) -> Response:
    """List the requests of your executions and those assigned to you, newest first."""
    narrowed = RequestFilter(query.status, query.kind, query.assignee, query.execution_id)
    async with call.gateway.database.reading() as session:
        me = call.principal
        page = await input_requests.page(
            session, me.user_id, narrowed, query.window(), subject=me.subject
        )
    return answer(
        listing(call.request, query, page, [views.input_request(call, row) for row in page.rows])
    )


@router.get("/{request_id}", responses={200: {"model": InputRequestRead}})
async def get_input_request(call: Called, request_id: UUID) -> Response:
    """Get an input request."""
    async with call.gateway.database.reading() as session:
        row = await _mine(session, call, request_id)
    return single(call.request, views.input_request(call, row))


@router.post("/{request_id}/answer", responses={200: {"model": InputRequestRead}})
async def answer_input_request(
    call: Called,
    request_id: UUID,
    body: Annotated[AnswerBody, Depends(JsonBody(AnswerBody))],
) -> Response:
    """Answer an input request; the execution continues at once."""

    async def store(session: AsyncSession) -> tuple[Response, str]:
        row = await _mine(session, call, request_id)
        execution = await queries.lock(session, row.execution_id)
        if execution is None:
            raise NotFoundError(f"Execution {row.execution_id} does not exist.")
        row = await input_requests.lock_open(session, execution, request_id)
        given = given_answer(row, body)
        await input_requests.answer(session, row, given, by=call.principal.user_id)
        entity = ("input_request", request_id)
        after = {"decision": given["decision"], "execution_id": str(execution.id)}
        action, owner = "input_request.answer", row.user_id
        await audit.record(session, call.actor, action, entity, after=after, owner_id=owner)
        return answer(views.input_request(call, row)), execution.workflow_id

    done = await run_once(call, store)
    if done.value is not None:
        await call.gateway.dispatcher.wake(done.value)
    return done.response


async def _mine(session: AsyncSession, call: Call, request_id: UUID) -> InputRequestRow:
    """A request of the caller's execution, or one that is assigned to the caller."""
    row = await input_requests.find(session, request_id)
    if row is None:
        raise NotFoundError(f"Input request {request_id} does not exist.")
    if row.assignee != call.principal.subject:
        call.require_own(row.user_id, "input request")
    return row
