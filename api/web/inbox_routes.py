"""Pages of the inbox: the open requests, and one request with the form that answers it."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.http import paging
from api.http.paging import ListQuery
from api.web import answer_forms, decisions, pages
from api.web.listings import check_query, make_list, read_known
from api.web.page_forms import SHOWN_ERRORS, make_body
from api.web.page_route import PageRoute
from api.web.request_views import render_request
from api.web.transcripts import summarize_input
from api.web.visits import FORM_EXPIRED, REVIEW_FIELD, Form, OwnForm, Visit, Visiting
from domain.model.json_values import make_encodable
from domain.people.requests import RequestKind
from persistence.db.paging import Page, Window
from persistence.executions import inbox_views, input_requests, queries
from persistence.tables.people import InboxViewRow
from persistence.tables.sessions import InputRequestRow
from services.executions.access import get_readable_request
from services.executions.inbox_views import INBOX_VIEWS, InboxViewPut, ViewName, put_view

router = APIRouter(prefix=links.INBOX, include_in_schema=False, route_class=PageRoute)

Submit = Callable[[Visit, InputRequestRow, Form], Awaitable[None]]


class NamedView(InboxViewPut):
    """A view with its name, which the API has in its path."""

    name: ViewName


class InboxQuery(ListQuery):
    """The filters of the inbox, which shows open requests first."""

    status: Literal["open", "answered", "expired", "cancelled"] = "open"
    kind: RequestKind | None = None
    assignee: Annotated[str | None, Field(max_length=255)] = None
    is_mentioned: bool = False

    @property
    def is_narrowed(self) -> bool:
        """Whether it shows less than all open requests."""
        return self != InboxQuery(cursor=self.cursor, page=self.page)


def _make_address(filters: Mapping[str, Any]) -> str:
    """Filters as they are in an address, in the same order for the same filters."""
    given = {"status": "open", **filters}
    return urlencode(sorted((name, str(value)) for name, value in given.items() if value))


@router.get("")
async def inbox(visit: Visiting) -> Response:
    """The requests that the viewer can answer, newest first: the open ones, unless filtered.

    A saved view can name a filter that no longer exists; the page ignores it, and says so.
    """
    query, ignored = read_known(visit.call.request, InboxQuery)
    async with visit.call.gateway.database.reading() as session:
        page = await _read_page(visit, session, query, query.window())
        titles = await queries.find_titles(session, [row.execution_id for row in page.rows])
        views = await inbox_views.list_all(session, visit.call.caller.user_id)
    shown = {**_list_values(visit, query, page, titles), **_view_values(query, ignored, views)}
    return pages.render("inbox.html.j2", **visit.layout, **shown)


def _list_values(
    visit: Visit,
    query: InboxQuery,
    page: Page[InputRequestRow],
    titles: Mapping[UUID, str],
) -> Mapping[str, Any]:
    decidable = {row.id for row in page.rows if decisions.is_open_approval(row)}
    return {
        "list": make_list(visit, query, page, page.rows),
        "titles": titles,
        "briefs": {row.id: _summarize(row) for row in page.rows if row.tool_input},
        "query": query,
        "decidable": decidable,
        "can_decide": len(decidable) > 1,
        "is_filtered": query.is_narrowed,
        "address": paging.address(visit.call.request),
        "kinds": {str(kind): text for kind, text in decisions.KINDS.items()},
    }


def _view_values(
    query: InboxQuery, ignored: Mapping[str, str], views: Sequence[InboxViewRow]
) -> Mapping[str, Any]:
    """The saved views, and which of them the page shows."""
    return {
        "views": [{"name": view.name, "query": _make_address(view.filters)} for view in views],
        "current": _make_address({**query.filters(), **ignored}),
        "ignored": ignored,
    }


@router.post("/views")
async def change_views(visit: Visiting, form: OwnForm) -> Response:
    """Save the filters of a view under a name, or remove a saved view."""
    form.require_sent()
    name = form.text("name").strip()
    if form.text("remove"):
        await visit.perform(lambda work: INBOX_VIEWS.delete(work, name, lambda _: None))
        return pages.redirect(links.INBOX)
    query = check_query(dict(parse_qsl(form.text("query"))), InboxQuery)
    filters = {name: value for name, value in query.filters().items() if name != "is_mentioned"}
    named = make_body(NamedView, {**filters, "name": name})
    body = InboxViewPut.model_validate(named.model_dump(exclude={"name"}))
    await visit.perform(partial(put_view, name=named.name, body=body))
    return pages.redirect(f"{links.INBOX}?{_make_address(query.filters())}")


@router.get("/count")
async def count_open(visit: Visiting) -> Response:
    """The number of open requests of the viewer; empty if there are none."""
    query = InboxQuery(status="open")
    async with visit.call.gateway.database.reading() as session:
        page = await _read_page(visit, session, query, Window(1))
    return pages.render("count.html.j2", total=page.total)


def _summarize(row: InputRequestRow) -> str:
    """The tool call of a request on one line."""
    return summarize_input(make_encodable(json.loads(row.tool_input or "null")))


async def _read_page(
    visit: Visit, session: AsyncSession, query: InboxQuery, window: Window
) -> Page[InputRequestRow]:
    caller, filters = visit.call.caller, query.filters()
    names = caller.assignees
    if filters.pop("is_mentioned"):
        return await input_requests.page_mentioned(session, filters, window, assignees=names)
    return await input_requests.page(session, caller.user_id, filters, window, assignees=names)


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


@router.post("/{request_id}/withdraw")
async def withdraw_answer(visit: Visiting, request_id: UUID) -> Response:
    """Withdraw the viewer's answer before it takes effect."""
    return await _apply(visit, request_id, answer_forms.submit_withdrawal)


@router.post("/{request_id}/claim")
async def claim_request(visit: Visiting, request_id: UUID) -> Response:
    """Record that the viewer works on a request."""
    return await _apply(visit, request_id, answer_forms.submit_claim)


@router.post("/{request_id}/release")
async def release_request(visit: Visiting, request_id: UUID) -> Response:
    """Take the viewer's claim back."""
    return await _apply(visit, request_id, answer_forms.submit_release)


async def _apply(visit: Visit, request_id: UUID, submit: Submit) -> Response:
    """Do what a form says, and show the request; an error is shown with all that was typed."""
    form = Form.parse(await visit.call.body())
    row = await _find(visit, request_id)
    if not visit.owns_form(form):
        return await render_request(visit, row, form=form, error=FORM_EXPIRED)
    if form.text(REVIEW_FIELD):
        return await render_request(visit, row, form=form)
    try:
        await submit(visit, row, form)
    except SHOWN_ERRORS as error:
        return await render_request(visit, await _find(visit, request_id), form=form, error=error)
    can_read = submit is not answer_forms.submit_assignee or visit.call.caller.owns(row.user_id)
    return pages.redirect(links.request_page(request_id) if can_read else links.INBOX)


async def _find(visit: Visit, request_id: UUID) -> InputRequestRow:
    async with visit.call.gateway.database.reading() as session:
        return await get_readable_request(session, visit.call.caller, request_id)
