"""Reports, from rows to what clients read."""

from collections.abc import Collection
from typing import TypeVar
from uuid import UUID

from api.http.schemas import from_row
from api.reports.reading import FoundReport
from api.reports.schemas import ReportItem, ReportRead
from persistence.tables.sessions import ReportRow
from reports.render import add_ending

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
