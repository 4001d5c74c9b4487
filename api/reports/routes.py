"""Reports: list, read, download."""

from collections.abc import Sequence
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.reports.rendering import Stored, rendered
from api.reports.schemas import ReportItem, ReportRead
from contracts.definitions import ReportFormat
from domain.errors import NotFoundError
from domain.report_facts import Ending, EndStatus
from domain.states import ExecutionStatus
from persistence.executions import queries
from persistence.executions.snapshot import definition_of
from persistence.executions.visibility import find_unreadable
from persistence.reporting import reports
from persistence.reporting.reports import ReportFilter
from persistence.tables.executions import ExecutionRow
from persistence.tables.reports import ReportRow
from reports.render import add_ending, format_of
from services.executions.access import own_execution
from services.field_types import Moment

router = APIRouter(tags=["reports"])

FormatName = Annotated[
    str | None,
    Query(alias="format", max_length=40, description="html, pdf, json or markdown."),
]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            "text/html": {"schema": {"type": "string"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {},
            "text/markdown": {"schema": {"type": "string"}},
        },
    }
}


class ReportQuery(ListQuery):
    """Filters for reports."""

    task_id: UUID | None = None
    execution_id: UUID | None = None
    format: ReportFormat | None = None
    created_from: Moment | None = None
    created_to: Moment | None = None


@router.get("/reports", responses={200: {"model": Listing[ReportItem]}})
async def list_reports(call: Called, query: Annotated[ReportQuery, Query()]) -> Response:
    """List your reports, newest first, without their content. `created_to` is exclusive."""
    narrowed = ReportFilter(
        task_id=query.task_id,
        execution_id=query.execution_id,
        format=query.format,
        created_from=query.created_from,
        created_to=query.created_to,
    )
    async with call.gateway.database.reading() as session:
        page = await reports.page(session, call.principal.user_id, narrowed, query.window())
        hidden = await _hidden(session, call, page.rows)
    items: list[ReportItem] = [views.report_item(row, hidden) for row in page.rows]
    return answer(listing(call.request, query, page, items))


@router.get("/reports/{report_id}", responses={200: {"model": ReportRead}})
async def get_report(call: Called, report_id: UUID) -> Response:
    """Get a report with its content."""
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, report_id)
        execution = await queries.find(session, row.execution_id)
        hidden = await _hidden(session, call, [row])
    return single(
        call.request, views.report(row, add_ending(row.content, _ending(execution)), hidden)
    )


@router.get("/reports/{report_id}/download", response_class=Response, responses=_FILE)
async def download_report(call: Called, report_id: UUID, name: FormatName = None) -> Response:
    """Download a report; the default format is the `report_format` of the task."""
    if name is not None:
        format_of(name)
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, report_id)
        execution = await queries.find(session, row.execution_id)
    return await rendered(call, _stored(row, execution), name or row.format, shown="attachment")


@router.get("/task-executions/{execution_id}/report", responses={200: {"model": ReportRead}})
async def get_execution_report(
    call: Called, execution_id: UUID, name: FormatName = None
) -> Response:
    """Get the latest report of an execution; with `format`, rendered as a file."""
    if name is not None:
        format_of(name)
    async with call.gateway.database.reading() as session:
        execution = await own_execution(session, call.caller, execution_id)
        row = await reports.find_newest(session, execution_id)
        if row is None:
            raise NotFoundError(await _why_none(session, execution))
        hidden = await _hidden(session, call, [row])
    if name is None:
        content = add_ending(row.content, _ending(execution))
        return single(call.request, views.report(row, content, hidden))
    return await rendered(call, _stored(row, execution), name, shown="inline")


async def _hidden(session: AsyncSession, call: Call, rows: Sequence[ReportRow]) -> frozenset[UUID]:
    task_ids = [row.task_id for row in rows]
    return await find_unreadable(session, task_ids=task_ids, by=call.caller.reader_id)


async def _own(session: AsyncSession, call: Call, report_id: UUID) -> ReportRow:
    row = await reports.find(session, report_id)
    if row is None:
        raise NotFoundError(f"Report {report_id} does not exist.")
    call.require_own(row.user_id, "report")
    return row


async def _why_none(session: AsyncSession, execution: ExecutionRow) -> str:
    """The reason why an execution has no report, and what to do."""
    if execution.report_error is not None:
        return f"This execution has no report: {execution.report_error}"
    definition = await definition_of(session, execution)
    if not definition.get("generate_report"):
        return "This execution has no report. Set generate_report in its task to create reports."
    if not ExecutionStatus(execution.status).is_terminal:
        return "This execution has no report yet. The report is created shortly before the end."
    return "This execution has no report, because it ended before the report was created."


def _stored(row: ReportRow, execution: ExecutionRow | None) -> Stored:
    return Stored(row.id, row.title, row.created_at, row.content, _ending(execution))


def _ending(row: ExecutionRow | None) -> Ending | None:
    """The outcome of the execution, which the stored report does not contain."""
    if row is None or not ExecutionStatus(row.status).is_terminal:
        return None
    message = row.error_message or row.cancel_reason
    status = cast("EndStatus", row.status)
    return Ending(status=status, error_code=row.error_code, message=message)
