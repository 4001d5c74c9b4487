"""Task templates as clients read them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.http.schemas import Read


class TaskTemplateRead(Read):
    """A template; `task` is as it was sent."""

    paths = {"self": "/task-templates/{id}", "create_task": "/task-templates/{id}/create-task"}

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    is_public: bool
    parameters: list[dict[str, Any]]
    task: dict[str, Any]
    created_at: datetime
    updated_at: datetime
