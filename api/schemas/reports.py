"""Reports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class ReportRead(BaseModel):
    """A stored report; every format is rendered from `content`."""

    id: UUID
    execution_id: UUID
    title: str
    format: str
    content: dict[str, Any]
    created_at: datetime
