"""Pages of the inbox: the open requests, and one request with the form that answers it."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Response

from api import links
from api.http.errors import MalformedRequestError
from api.web import answer_forms, decisions, pages
from api.web.page_route import PageRoute
from api.web.request_views import render_request
from api.web.sign_in import REVIEW_FIELD
from api.web.visits import FORM_EXPIRED, Form, Visit, Visiting
from domain.errors import (
    ConflictError,
    InvalidInputError,
    RateLimitedError,
    ScopeMissingError,
)
from persistence.db.outages import is_outage
from persistence.db.paging import Window
from persistence.executions import input_requests
from persistence.tables.sessions import InputRequestRow
from services.executions.access import answerable_request

router = APIRouter(prefix=links.INBOX, include_in_schema=False, route_class=PageRoute)

SHOWN = 100
"""Requests on the page of the inbox (chosen); `perdure inbox` lists all."""

Submit = Callable[[Visit, InputRequestRow, Form], Awaitable[None]]

_SHOWN_ERRORS = (
    InvalidInputError,
    ConflictError,
    RateLimitedError,
    MalformedRequestError,
    ScopeMissingError,
)
"""Shown above the form, which keeps what was typed."""


@router.get("")
async def inbox(visit: Visiting) -> Response:
    """The open requests of the viewer, newest first."""
    viewer = visit.call.principal
    async with visit.call.gateway.database.reading() as session:
        page = await input_requests.page(
            session, viewer.user_id, {"status": "open"}, Window(SHOWN), subject=viewer.subject
        )
    kinds = {str(kind): text for kind, text in decisions.KINDS.items()}
    return pages.render("inbox.html.j2", **visit.layout, page=page, kinds=kinds)


@router.get("/{request_id}")
async def request_page(visit: Visiting, request_id: UUID) -> Response:
    """A request, and the form that answers it."""
    return await render_request(visit, await _find(visit, request_id))


@router.post("/{request_id}")
async def answer_request(visit: Visiting, request_id: UUID) -> Response:
    """Answer a request, and show what follows."""
    return await _apply(visit, request_id, answer_forms.submit)


@router.post("/{request_id}/comments")
async def comment_on_request(visit: Visiting, request_id: UUID) -> Response:
    """Add a comment to a request."""
    return await _apply(visit, request_id, answer_forms.submit_comment)


@router.post("/{request_id}/assign")
async def assign_request(visit: Visiting, request_id: UUID) -> Response:
    """Assign a request to a user."""
    return await _apply(visit, request_id, answer_forms.submit_assignee)


async def _apply(visit: Visit, request_id: UUID, submit: Submit) -> Response:
    """Do what a form says, and show the request; an error is shown with all that was typed."""
    form = Form.parse(await visit.call.body())
    try:
        return await _submit(visit, request_id, submit, form)
    except Exception as error:
        if not is_outage(error):
            raise
        return pages.render_outage(visit.call.request.url.path, form.entries)


async def _submit(visit: Visit, request_id: UUID, submit: Submit, form: Form) -> Response:
    row = await _find(visit, request_id)
    if not visit.owns_form(form):
        return await render_request(visit, row, form=form, error=FORM_EXPIRED)
    if form.text(REVIEW_FIELD):
        return await render_request(visit, row, form=form)
    try:
        await submit(visit, row, form)
    except _SHOWN_ERRORS as error:
        return await render_request(visit, await _find(visit, request_id), form=form, error=error)
    can_read = submit is not answer_forms.submit_assignee or visit.call.caller.owns(row.user_id)
    return pages.redirect(links.request_page(request_id) if can_read else links.INBOX)


async def _find(visit: Visit, request_id: UUID) -> InputRequestRow:
    async with visit.call.gateway.database.reading() as session:
        return await answerable_request(session, visit.call.caller, request_id)
