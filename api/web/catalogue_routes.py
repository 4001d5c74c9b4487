"""Pages that list what executions use and leave: agents, queue, memory, reports, artifacts."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from api.executions.schemas import ExecutionQuery, readable_views
from api.http.files import file_response
from api.memory.schemas import LAST_VERSION, MemoryListQuery, render_entry
from api.reports.rendering import render_file
from api.reports.schemas import ReportQuery, find_hidden_tasks, find_report, render_report_item
from api.web import pages
from api.web.listings import make_list, read_query
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Visit, Visiting
from definitions.memory import Key, Namespace
from domain.executions.states import ExecutionStatus
from persistence.executions import queries
from persistence.reporting import reports
from persistence.reporting.reports import ReportFilter
from persistence.sessions.timeline import TimelineRange
from services import artifacts
from services.executions.bulk import filter_of
from services.memory import entries, reading, versions
from services.memory.reading import EntryAddress

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN_VERSIONS = 50

QUEUED = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.BLOCKED)
"""The states of external work that has not ended."""


@router.get("/queue")
async def show_queue(request: Request, visit: Visiting) -> Response:
    """The work of outside workers that has not ended."""
    query = read_query(request, ExecutionQuery, lists={"status"})
    query = query.model_copy(update={"status": query.status or QUEUED})
    async with visit.call.gateway.database.reading() as session:
        user_id = visit.call.principal.user_id
        narrowed = replace(filter_of(query), executor="external")
        page = await queries.page(session, user_id, narrowed, query.window())
        items = await readable_views(session, visit.call, page.rows)
    shown = make_list(visit, query, page, items)
    return pages.render("queue.html.j2", **visit.layout, list=shown)


@router.get("/memory")
async def list_memory(request: Request, visit: Visiting) -> Response:
    """The entries of the viewer, or those that match a search."""
    query = read_query(request, MemoryListQuery)
    call = visit.call
    async with call.gateway.database.reading() as session:
        found = query.memory_query()
        page = await reading.list_entries(
            call.services, session, call.caller, found, query.window()
        )
    items = [render_entry(call, row) for row in page.rows]
    shown = make_list(visit, query, page, items)
    return pages.render("memory.html.j2", **visit.layout, list=shown, query=query)


@router.get("/memory/{namespace}/{key:path}")
async def show_memory(
    visit: Visiting,
    namespace: Namespace,
    key: Annotated[Key, Path()],
    version: Annotated[int | None, Query(ge=1, le=LAST_VERSION)] = None,
) -> Response:
    """An entry or one of its versions, and the list of them."""
    shown = await _read_entry(visit, EntryAddress(namespace, key, None), version)
    return pages.render("memory_entry.html.j2", **visit.layout, **shown)


@router.post("/memory/{namespace}/{key:path}", dependencies=[FORM_IS_OWN])
async def delete_memory(
    visit: Visiting, namespace: Namespace, key: Annotated[Key, Path()]
) -> Response:
    """Delete an entry. Its versions stay readable."""
    address = EntryAddress(namespace, key, None)
    await visit.perform(partial(entries.delete_entry, address=address))
    return pages.redirect("/memory")


@router.get("/reports")
async def list_reports(request: Request, visit: Visiting) -> Response:
    """The reports of the viewer, newest first."""
    query = read_query(request, ReportQuery)
    async with visit.call.gateway.database.reading() as session:
        user_id, filters = visit.call.principal.user_id, ReportFilter(**query.filters())
        page = await reports.page(session, user_id, filters, query.window())
        hidden = await find_hidden_tasks(session, visit.call, page.rows)
    items = [render_report_item(row, hidden) for row in page.rows]
    shown = make_list(visit, query, page, items)
    return pages.render("reports.html.j2", **visit.layout, list=shown)


@router.get("/reports/{report_id}")
async def show_report(visit: Visiting, report_id: UUID, format: str = "html") -> Response:  # noqa: A002 - the query
    """A report as a file; HTML opens in the browser."""
    async with visit.call.gateway.database.reading() as session:
        found = await find_report(session, visit.call, report_id)
    return await render_file(visit.call, found, format, disposition="inline")


@router.get("/artifacts/{artifact_id}")
async def download_artifact(visit: Visiting, artifact_id: UUID) -> Response:
    """A saved file."""
    async with visit.call.gateway.database.reading() as session:
        row = await artifacts.find_artifact(session, visit.call.caller, artifact_id)
    return await file_response(visit.call.services.blobs, row)


async def _read_entry(
    visit: Visit, address: EntryAddress, version: int | None
) -> Mapping[str, Any]:
    caller, span = visit.call.caller, TimelineRange(SHOWN_VERSIONS)
    async with visit.call.gateway.database.reading() as session:
        found = await versions.find_version(session, caller, address, version)
        history = await versions.list_versions(session, caller, address, span)
    old = {} if found.version is None else versions.version_fields(found.version)
    return {
        "entry": render_entry(visit.call, found.row, **old),
        "versions": history.rows[::-1],
        "newest": found.row.version,
    }
