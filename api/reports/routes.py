"""Routes of reports: list them, read them as they are stored, download them in any format."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing
from api.http.rendering import render_items
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.links import BASE
from api.reports.rendering import FILE_RESPONSES, FormatName, render_file
from api.reports.schemas import (
    ReportItem,
    ReportQuery,
    ReportRead,
    find_hidden_tasks,
    find_newest_report,
    find_report,
    render_report,
    render_report_item,
)
from persistence.reporting import reports
from persistence.reporting.reports import ReportFilter
from reports.compose import compose_json
from reports.render import format_of
from services.reports import CreatedReport, ReportCreate, compose_report, create_report

router = APIRouter(prefix=BASE, tags=["reports"])


@router.get("/reports", responses={200: {"model": Listing[ReportItem]}})
async def list_reports(call: Called, query: Annotated[ReportQuery, Query()]) -> Response:
    """List your reports, newest first, without their contents. `created_to` is not included."""
    async with call.gateway.database.reading() as session:
        user_id = call.principal.user_id
        page = await reports.page(session, user_id, ReportFilter(**query.filters()), query.window())
        hidden = await find_hidden_tasks(session, call, page.rows)
    return render_items(call, query, page, [render_report_item(row, hidden) for row in page.rows])


@router.get("/reports/{report_id}", responses={200: {"model": ReportRead}})
async def get_report(call: Called, report_id: UUID) -> Response:
    """Get a report with its content."""
    async with call.gateway.database.reading() as session:
        found = await find_report(session, call, report_id)
    return single(call.request, render_report(found))


@router.get("/reports/{report_id}/download", response_class=Response, responses=FILE_RESPONSES)
async def download_report(call: Called, report_id: UUID, name: FormatName = None) -> Response:
    """Download a report; without `format` in the format that its task specifies."""
    if name is not None:
        format_of(name)
    async with call.gateway.database.reading() as session:
        found = await find_report(session, call, report_id)
    return await render_file(call, found, name or found.row.format, disposition="attachment")


@router.post(
    "/task-executions/{execution_id}/report",
    status_code=201,
    responses={200: {"model": ReportRead}, 201: {"model": ReportRead}},
)
async def create_execution_report(
    call: Called,
    execution_id: UUID,
    body: Annotated[ReportCreate, Depends(JsonBody(ReportCreate, optional=True))],
) -> Response:
    """Create the report of an execution that has ended; if it has one, return that with 200."""
    database = call.gateway.database
    composed = await compose_report(database, call.caller, execution_id, compose_json)
    service = partial(create_report, execution_id=execution_id, composed=composed, body=body)
    return await run_service(call, service, respond_created)


async def respond_created(call: Call, session: AsyncSession, created: CreatedReport) -> Response:
    """Respond with 201 if the report is new, else with 200."""
    read = render_report(await find_newest_report(session, call, created.row.execution_id))
    headers = {"Location": read.links["self"]} if created.is_new else {}
    return answer(read, 201 if created.is_new else 200, headers)


@router.get("/task-executions/{execution_id}/report", responses={200: {"model": ReportRead}})
async def get_execution_report(
    call: Called, execution_id: UUID, name: FormatName = None
) -> Response:
    """Get the newest report of an execution; with `format`, as a file of that format."""
    if name is not None:
        format_of(name)
    async with call.gateway.database.reading() as session:
        found = await find_newest_report(session, call, execution_id)
    if name is None:
        return single(call.request, render_report(found))
    return await render_file(call, found, name, disposition="inline")
