"""Reports, from rows to what clients read."""

from collections.abc import Collection
from uuid import UUID

from api import links
from api.http.rendering import from_row
from api.reports.reading import FoundReport
from api.reports.schemas import ReportItem, ReportRead
from persistence.tables.reports import ReportRow
from reports.render import add_ending


def render_report_item(row: ReportRow, unreadable: Collection[UUID]) -> ReportItem:
    """Return a report without its content, and without links to what is `unreadable`."""
    return from_row(ReportItem, row, links=_links(row, unreadable))


def render_report(found: FoundReport) -> ReportRead:
    """Return a report with its content and with the end of its execution."""
    row = found.row
    content = add_ending(row.content, found.ending)
    return from_row(ReportRead, row, content=content, links=_links(row, found.unreadable))


def _links(row: ReportRow, unreadable: Collection[UUID]) -> dict[str, str]:
    task_id = None if row.task_id in unreadable else row.task_id
    return links.report(row.id, row.execution_id, task_id)
