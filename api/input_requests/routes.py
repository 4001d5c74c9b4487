"""Routes of input requests: questions and approvals that wait for a person."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.oversight import choose_owner
from api.http.paging import Listing, OwnedQuery
from api.http.rendering import render_page
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.input_requests.schemas import (
    AlikeResult,
    InputRequestRead,
    UnchangedRequest,
    WithdrawResult,
    render_input_request,
)
from persistence.db.paging import Page
from persistence.executions import input_requests, request_changes
from persistence.tables.sessions import InputRequestRow
from services.caller import Caller
from services.executions import answers, bulk_answers, discussions, holding
from services.executions.access import get_readable_request
from services.executions.bulk_answers import (
    AlikeBody,
    AlikeOutcome,
    WithdrawBody,
    WithdrawOutcome,
)
from services.executions.discussions import AssignBody, CommentBody
from services.executions.inputs import AnswerBody


async def respond_input_request(call: Call, _: AsyncSession, row: InputRequestRow) -> Response:
    """Respond with an input request."""
    return answer(render_input_request(call, row))


router = APIRouter(prefix=f"{links.BASE}/input-requests", tags=["input requests"])

_LIST = {"input_requests": f"{links.BASE}/input-requests"}

Kind = Literal["question", "approval", "plan_approval", "budget", "effect_check", "form"]


class InputRequestQuery(OwnedQuery):
    """Filters of a list of input requests."""

    status: Literal["open", "answered", "expired", "cancelled"] | None = None
    kind: Kind | None = None
    assignee: Annotated[str | None, Field(max_length=255)] = None
    execution_id: UUID | None = None
    is_mentioned: Annotated[
        bool, Field(description="Those with a comment that mentions you or one of your groups.")
    ] = False


@router.get("", responses={200: {"model": Listing[InputRequestRead]}})
async def list_input_requests(
    call: Called, query: Annotated[InputRequestQuery, Query()]
) -> Response:
    """List the requests of your executions and those assigned to you, newest first."""
    user_id = await choose_owner(call, query)
    async with call.gateway.database.reading() as session:
        page = await _read_page(session, call.caller, query, user_id)
    return render_page(call, query, page, render_input_request)


async def _read_page(
    session: AsyncSession, caller: Caller, query: InputRequestQuery, user_id: UUID | None
) -> Page[InputRequestRow]:
    """Read a page of a user's requests; the caller's own include those assigned to the caller."""
    filters, window = query.filters(), query.window()
    if filters.pop("is_mentioned"):
        mentioned = caller.assignees
        return await input_requests.page_mentioned(session, filters, window, assignees=mentioned)
    assignees = caller.assignees if user_id == caller.user_id else ()
    return await input_requests.page(session, user_id, filters, window, assignees=assignees)


@router.post("/bulk/answer", responses={200: {"model": AlikeResult}})
async def answer_input_requests(
    call: Called, body: Annotated[AlikeBody, Depends(JsonBody(AlikeBody))]
) -> Response:
    """Approve or deny alike tool calls: of the same task, tool and effect class.

    Each request is named with the `input_sha256` that you have seen. A request that is answered
    already, or whose input is another one, is skipped.
    """
    return await run_service(call, partial(bulk_answers.answer_alike, body=body), _respond_alike)


async def _respond_alike(_: Call, __: AsyncSession, outcome: AlikeOutcome) -> Response:
    result = AlikeResult(
        answered=len(outcome.answered_ids),
        input_request_ids=list(outcome.answered_ids),
        held_ids=list(outcome.held_ids),
        approved_ids=list(outcome.approved_ids),
        skipped=[UnchangedRequest(**asdict(skipped)) for skipped in outcome.skipped],
        links=_LIST,
    )
    return answer(result)


@router.post("/bulk/withdraw", responses={200: {"model": WithdrawResult}})
async def withdraw_answers(
    call: Called, body: Annotated[WithdrawBody, Depends(JsonBody(WithdrawBody))]
) -> Response:
    """Withdraw your answers to several requests before they take effect.

    A request without an answer of yours that can be withdrawn is skipped.
    """
    service = partial(bulk_answers.withdraw_all, body=body)
    return await run_service(call, service, _respond_withdrawn)


async def _respond_withdrawn(_: Call, __: AsyncSession, outcome: WithdrawOutcome) -> Response:
    result = WithdrawResult(
        input_request_ids=list(outcome.reopened_ids),
        skipped=[UnchangedRequest(**asdict(skipped)) for skipped in outcome.skipped],
        links=_LIST,
    )
    return answer(result)


@router.get("/{request_id}", responses={200: {"model": InputRequestRead}})
async def get_input_request(call: Called, request_id: UUID) -> Response:
    """Get an input request."""
    async with call.gateway.database.reading() as session:
        row = await get_readable_request(session, call.caller, request_id)
        is_open = row.status == "open"
        changes = await request_changes.find_changes(session, row) if is_open else None
    return single(call.request, render_input_request(call, row, changes))


@router.post("/{request_id}/answer", responses={200: {"model": InputRequestRead}})
async def answer_input_request(
    call: Called,
    request_id: UUID,
    body: Annotated[AnswerBody, Depends(JsonBody(AnswerBody))],
) -> Response:
    """Answer a request; the execution then continues.

    An API key without the scope `approve` can answer only questions and forms. If an operator has
    terminated the workflow in Temporal, the response is 409 `execution_terminal` and the execution
    has failed.
    """
    service = partial(answers.answer, request_id=request_id, body=body)
    return await run_service(call, service, respond_input_request)


@router.post("/{request_id}/withdraw", responses={200: {"model": InputRequestRead}})
async def withdraw_answer(call: Called, request_id: UUID) -> Response:
    """Withdraw your answer before it takes effect (`effective_at`); the request is open again."""
    service = partial(holding.withdraw, request_id=request_id)
    return await run_service(call, service, respond_input_request)


@router.post("/{request_id}/assign", responses={200: {"model": InputRequestRead}})
async def assign_input_request(
    call: Called,
    request_id: UUID,
    body: Annotated[AssignBody, Depends(JsonBody(AssignBody))],
) -> Response:
    """Assign an open request to a user, or as `group:NAME` to a group.

    With null, only the owner of the execution answers it.
    """
    service = partial(discussions.assign, request_id=request_id, body=body)
    return await run_service(call, service, respond_input_request)


@router.post("/{request_id}/claim", responses={200: {"model": InputRequestRead}})
async def claim_input_request(call: Called, request_id: UUID) -> Response:
    """Record that you work on an open request. They can still answer it."""
    service = partial(discussions.claim, request_id=request_id)
    return await run_service(call, service, respond_input_request)


@router.post("/{request_id}/release", responses={200: {"model": InputRequestRead}})
async def release_input_request(call: Called, request_id: UUID) -> Response:
    """Take your claim of a request back."""
    service = partial(discussions.release, request_id=request_id)
    return await run_service(call, service, respond_input_request)


@router.post(
    "/{request_id}/comments", status_code=201, responses={201: {"model": InputRequestRead}}
)
async def comment_on_input_request(
    call: Called,
    request_id: UUID,
    body: Annotated[CommentBody, Depends(JsonBody(CommentBody))],
) -> Response:
    """Add a comment to a request; returns the request with all comments.

    Users (`@ann`) and groups (`@group:legal`) that it mentions can read and comment on the request.
    """
    service = partial(discussions.comment, request_id=request_id, body=body)
    return await run_service(call, service, _respond_commented)


async def _respond_commented(call: Call, _: AsyncSession, row: InputRequestRow) -> Response:
    return answer(render_input_request(call, row), 201)
