"""Reports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.field_types import Read


class ReportItem(Read):
    """A stored report as lists show it; `format` is the one its task asks for."""

    id: UUID
    execution_id: UUID
    task_id: UUID | None
    title: str
    format: str
    created_at: datetime


class ReportRead(ReportItem):
    """A stored report; every format is rendered from `content`."""

    content: dict[str, Any]
