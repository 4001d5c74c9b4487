"""Pages of executions: the list, and one execution as it runs, with what a person can do."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.schemas import ExecutionQuery, readable_views
from api.files.schemas import DirectoryQuery, FileQuery
from api.files.workspaces import find_workspace, list_directory, open_workspace, send_file
from api.http import paging
from api.http.paging import LAST_SEQ
from api.reports.rendering import render_file
from api.reports.schemas import find_newest_report
from api.timeline.streams import respond_stream
from api.web import execution_views as views
from api.web import pages
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, read_message, status_for
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from domain.errors import FilesElsewhereError, PerdureError
from persistence.executions import queries
from persistence.tables.executions import ExecutionRow
from services.executions import control, forking, messaging, retrying
from services.executions.access import get_readable_execution
from services.executions.bulk import filter_of
from services.executions.inputs import CancelBody, FinishBody, ForkBody, RetryBody
from services.unit_of_work import UnitOfWork

router = APIRouter(prefix="/executions", include_in_schema=False, route_class=PageRoute)

LONGEST_NUMBER = 10
"""Digits of the number of a model call that a form may name (chosen)."""

After = Annotated[int | None, Query(ge=0, le=LAST_SEQ)]

Read = Callable[[AsyncSession, ExecutionRow], Awaitable[Mapping[str, Any]]]


@router.get("")
async def list_executions(request: Request, visit: Visiting) -> Response:
    """The executions of the viewer, newest first."""
    query = read_query(request, ExecutionQuery, lists={"status"})
    async with visit.call.gateway.database.reading() as session:
        user_id = visit.call.principal.user_id
        page = await queries.page(session, user_id, filter_of(query), query.window())
        items = await readable_views(session, visit.call, page.rows)
    return pages.render(
        "executions.html.j2",
        **visit.layout,
        list=make_list(visit, query, page, items),
        query=query,
        is_filtered=any(query.filters().values()),
        address=paging.address(request),
    )


@router.get("/{execution_id}")
async def show_execution(visit: Visiting, execution_id: UUID, after: After = None) -> Response:
    """An execution with its transcript, which follows it while it runs."""
    return await _show(visit, execution_id, after=after)


@router.get("/{execution_id}/updates")
async def show_updates(visit: Visiting, execution_id: UUID, after: After = 0) -> Response:
    """What changed on the page of an execution: its head, and the messages after `after`."""
    read = partial(views.read_transcript, after=after)
    return await _render(visit, execution_id, "execution_updates.html.j2", read)


@router.get("/{execution_id}/events")
async def stream_events(visit: Visiting, execution_id: UUID, after: After = None) -> Response:
    """The events as a stream, as the API sends them."""
    return await respond_stream(visit.call, execution_id, after)


@router.get("/{execution_id}/subtasks")
async def show_subtasks(visit: Visiting, execution_id: UUID) -> Response:
    """The tree of subtasks."""
    return await _render(visit, execution_id, "execution_subtasks.html.j2", views.read_tree)


@router.get("/{execution_id}/cost")
async def show_cost(visit: Visiting, execution_id: UUID) -> Response:
    """What each model call cost."""
    return await _render(visit, execution_id, "execution_cost.html.j2", views.read_costs)


@router.get("/{execution_id}/timeline")
async def show_timeline(visit: Visiting, execution_id: UUID, after: After = None) -> Response:
    """The recorded events."""
    read = partial(views.read_events, after=after)
    return await _render(visit, execution_id, "execution_events.html.j2", read)


@router.get("/{execution_id}/files")
async def show_files(request: Request, visit: Visiting, execution_id: UUID) -> Response:
    """A directory of the workspace, and the saved files."""
    query = read_query(request, DirectoryQuery)
    return await _render_files(visit, execution_id, query)


@router.get("/{execution_id}/files/content")
async def download_file(request: Request, visit: Visiting, execution_id: UUID) -> Response:
    """A file of the workspace."""
    query = read_query(request, FileQuery)
    async with visit.call.gateway.database.reading() as session:
        row = await get_readable_execution(session, visit.call.caller, execution_id)
        place = await find_workspace(session, visit.call.gateway, row)
    return await send_file(await open_workspace(visit.call.gateway, place), query.path)


@router.get("/{execution_id}/report")
async def show_report(visit: Visiting, execution_id: UUID, format: str = "html") -> Response:  # noqa: A002 - the query
    """The newest report of an execution."""
    async with visit.call.gateway.database.reading() as session:
        found = await find_newest_report(session, visit.call, execution_id)
    return await render_file(visit.call, found, format, disposition="inline")


@router.post("/{execution_id}/pause", dependencies=[FORM_IS_OWN])
async def pause(visit: Visiting, execution_id: UUID) -> Response:
    """Pause an execution after its current step."""
    return await _change(visit, partial(control.pause, execution_id=execution_id))


@router.post("/{execution_id}/resume", dependencies=[FORM_IS_OWN])
async def resume(visit: Visiting, execution_id: UUID) -> Response:
    """Continue a paused execution."""
    return await _change(visit, partial(control.resume, execution_id=execution_id))


@router.post("/{execution_id}/finish", dependencies=[FORM_IS_OWN])
async def finish(visit: Visiting, execution_id: UUID) -> Response:
    """Ask a running execution to answer now with what it has."""
    service = partial(control.finish, execution_id=execution_id, body=FinishBody())
    return await _change(visit, service)


@router.post("/{execution_id}/cancel", dependencies=[FORM_IS_OWN])
async def cancel(visit: Visiting, execution_id: UUID, form: OwnForm) -> Response:
    """Cancel an execution and its subtasks."""
    body = make_body(CancelBody, {"reason": form.text("reason").strip() or None})
    service = partial(control.cancel, execution_id=execution_id, body=body)
    return await _change(visit, service)


@router.post("/{execution_id}/retry", dependencies=[FORM_IS_OWN])
async def retry(visit: Visiting, execution_id: UUID) -> Response:
    """Execute an ended execution again from the beginning."""
    service = partial(retrying.retry, execution_id=execution_id, body=RetryBody())
    return await _change(visit, service)


@router.post("/{execution_id}/fork")
async def fork(visit: Visiting, execution_id: UUID, form: OwnForm) -> Response:
    """Start an execution that continues this one from a model call."""
    turn, prompt = form.text("at_turn").strip(), form.text("prompt").strip()
    try:
        form.require_sent()
        is_number = turn.isdecimal() and len(turn) <= LONGEST_NUMBER
        given = {"at_turn": int(turn) if is_number else turn, "prompt": prompt or None}
        body = make_body(ForkBody, given)
        return await _change(visit, partial(forking.fork, execution_id=execution_id, body=body))
    except SHOWN_ERRORS as error:
        return await _show(visit, execution_id, form=form, error=error)


@router.post("/{execution_id}/messages")
async def send_message(visit: Visiting, execution_id: UUID, form: OwnForm) -> Response:
    """Send a message: the execution reads it, or a new one answers it."""
    try:
        form.require_sent()
        body = read_message(form)
        service = partial(messaging.send_message, execution_id=execution_id, body=body)
        return await _change(visit, service)
    except SHOWN_ERRORS as error:
        return await _show(visit, execution_id, form=form, error=error)


async def _change(
    visit: Visit, service: Callable[[UnitOfWork], Awaitable[ExecutionRow]]
) -> Response:
    """Run a service, and show the execution that it returns."""
    row = await visit.perform(service)
    return pages.redirect(f"{router.prefix}/{row.id}")


async def _show(
    visit: Visit,
    execution_id: UUID,
    *,
    after: int | None = None,
    form: Form | None = None,
    error: PerdureError | None = None,
) -> Response:
    read = partial(views.read_transcript, after=after)
    values = {**form_values(form, error), "types": " ".join(views.LIVE_EVENTS)}
    status = status_for(error)
    return await _render(visit, execution_id, "execution.html.j2", read, status=status, **values)


async def _render(
    visit: Visit, execution_id: UUID, template: str, read: Read, *, status: int = 200, **values: Any
) -> Response:
    """A page of an execution: its head, and what `read` returns."""
    async with visit.call.gateway.database.reading() as session:
        head = await views.read_head(visit, session, execution_id)
        found = await read(session, head["row"])
    return pages.render(template, status, **{**visit.layout, **head, **found, **values})


async def _render_files(visit: Visit, execution_id: UUID, query: DirectoryQuery) -> Response:
    """The page of a directory. It is listed without a database connection."""
    gateway, elsewhere, place = visit.call.gateway, "", None
    async with gateway.database.reading() as session:
        head = await views.read_head(visit, session, execution_id)
        saved = await views.read_artifacts(session, head["row"])
        try:
            place = await find_workspace(session, gateway, head["row"])
        except FilesElsewhereError as error:
            elsewhere = error.detail
    listed: Mapping[str, Any] = {"entries": [], "later": None}
    if not elsewhere:
        files = await open_workspace(gateway, place)
        page = await list_directory(files, query.path, query.span())
        listed = {"entries": page.rows, "later": paging.next_cursor(page)}
    shown = {**head, **saved, **listed, "directory": query.path, "elsewhere": elsewhere}
    return pages.render("execution_files.html.j2", **{**visit.layout, **shown})
