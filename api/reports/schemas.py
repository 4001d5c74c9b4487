"""Response bodies of reports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.field_types import Read


class ReportItem(Read):
    """A report in a list; `format` is the `report_format` of the task."""

    id: UUID
    execution_id: UUID
    task_id: UUID | None
    title: str
    format: str
    created_at: datetime


class ReportRead(ReportItem):
    """A report. All formats are rendered from `content`."""

    content: dict[str, Any]
