"""Response bodies of reports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.http.schemas import Read


class ReportItem(Read):
    """A report in a list; `format` is the `report_format` of the task."""

    paths = {
        "self": "/reports/{id}",
        "download": "/reports/{id}/download",
        "execution": "/task-executions/{execution_id}",
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
