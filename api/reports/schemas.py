"""Stored reports as clients read them, with the end of their executions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.http.paging import ResourceQuery
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from definitions.tasks import ReportFormat
from domain.errors import NotFoundError
from domain.executions.report_facts import Ending
from domain.executions.states import ExecutionStatus
from persistence.executions import queries
from persistence.executions.snapshot import definition_of
from persistence.executions.visibility import find_unreadable
from persistence.reporting import reports
from persistence.reporting.source import derive_ending
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ReportRow
from reports.render import add_ending
from services.caller import missing
from services.executions.access import get_readable_execution, may_read


@dataclass(frozen=True, slots=True)
class FoundReport:
    """A stored report, the end of its execution, and the tasks that the caller cannot read."""

    row: ReportRow
    ending: Ending | None
    unreadable: frozenset[UUID]


async def find_report(session: AsyncSession, call: Call, report_id: UUID) -> FoundReport:
    """Return the report of an execution that the caller may read.

    Raises:
        NotFoundError: there is no such report.
        PermissionDeniedError: it belongs to another user.
    """
    row = await reports.find(session, report_id)
    if row is None:
        raise missing("report", report_id)
    if not await may_read(session, call.caller, row.user_id, row.execution_id):
        raise call.caller.not_owned("report", report_id)
    execution = await queries.find(session, row.execution_id)
    return FoundReport(row, _ending(execution), await find_hidden_tasks(session, call, [row]))


async def find_newest_report(session: AsyncSession, call: Call, execution_id: UUID) -> FoundReport:
    """Return the newest report of an execution that the caller may read.

    Raises:
        NotFoundError: there is no such execution, or it has no report; says why.
        PermissionDeniedError: it belongs to another user.
    """
    execution = await get_readable_execution(session, call.caller, execution_id)
    row = await reports.find_newest(session, execution_id)
    if row is None:
        raise NotFoundError(await _explain_missing(session, execution))
    return FoundReport(row, _ending(execution), await find_hidden_tasks(session, call, [row]))


async def find_hidden_tasks(
    session: AsyncSession, call: Call, rows: Sequence[ReportRow]
) -> frozenset[UUID]:
    """Return the tasks of these reports that the caller cannot read."""
    task_ids = [row.task_id for row in rows]
    return await find_unreadable(session, task_ids=task_ids, by=call.caller.reader_id)


async def _explain_missing(session: AsyncSession, execution: ExecutionRow) -> str:
    """The reason why an execution has no report, and what to do."""
    if execution.report_error is not None:
        return f"This execution has no report: {execution.report_error}"
    definition = await definition_of(session, execution)
    if not definition.get("generate_report"):
        return (
            "This execution has no report. Set generate_report in its task to create reports, or "
            "create one with POST at this path when the execution has ended."
        )
    if not ExecutionStatus(execution.status).is_terminal:
        return "This execution has no report yet. The report is created shortly before the end."
    return (
        "This execution has no report, because it ended before the report was created. Create one "
        "with POST at this path."
    )


def _ending(row: ExecutionRow | None) -> Ending | None:
    """The outcome of the execution, which the stored report does not contain."""
    if row is None or not ExecutionStatus(row.status).is_terminal:
        return None
    return derive_ending(row)


class ReportItem(Read):
    """A report in a list; `format` is the `report_format` of the task."""

    paths = {
        "self": "/reports/{id}",
        "download": "/reports/{id}/download",
        "execution": "/task-executions/{execution_id}",
        "artifacts": "/task-executions/{execution_id}/artifacts",
        "task": "/tasks/{task_id}",
    }

    id: UUID
    execution_id: UUID
    task_id: UUID | None
    title: str
    format: str
    created_at: datetime


class ReportRead(ReportItem):
    """A report. All formats are rendered from `content`."""

    content: dict[str, Any]


R = TypeVar("R", bound=ReportItem)


def render_report_item(row: ReportRow, unreadable: Collection[UUID]) -> ReportItem:
    """Return a report without its content, and without a link to an unreadable task."""
    return _without_links(from_row(ReportItem, row), unreadable)


def render_report(found: FoundReport) -> ReportRead:
    """Return a report with its content and with the end of its execution."""
    content = add_ending(found.row.content, found.ending)
    return _without_links(from_row(ReportRead, found.row, content=content), found.unreadable)


def _without_links(read: R, unreadable: Collection[UUID]) -> R:
    if read.task_id in unreadable:
        del read.links["task"]
    return read


class ReportQuery(ResourceQuery):
    """Filters of a list of reports."""

    task_id: UUID | None = None
    execution_id: UUID | None = None
    format: ReportFormat | None = None
