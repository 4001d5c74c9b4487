"""Response bodies of task versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.field_types import Read


class TaskVersionRead(Read):
    """The definition of a task in one version."""

    task_id: UUID
    version: int
    definition: dict[str, Any]
    created_by: UUID
    created_at: datetime
