"""Secrets as clients read them: never with their values."""

from datetime import datetime

from services.field_types import Read


class SecretRead(Read):
    """A secret without its value, which cannot be read."""

    name: str
    hosts: list[str]
    tools: list[str]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
