"""A task's versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.field_types import Read


class TaskVersionRead(Read):
    """What a task said, from one change of it to the next."""

    task_id: UUID
    version: int
    definition: dict[str, Any]
    created_by: UUID
    created_at: datetime
