"""Conversations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.schemas.values import Read


class SessionRead(Read):
    """A conversation."""

    id: UUID
    user_id: UUID
    name: str
    title: str | None
    agent_id: str | None
    sdk_options: dict[str, Any] | None
    is_interactive: bool
    created_at: datetime
    updated_at: datetime
