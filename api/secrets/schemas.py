"""Secrets as clients read them: never with their values."""

from datetime import datetime

from api.http.schemas import Read


class SecretRead(Read):
    """A secret without its value, which cannot be read."""

    paths = {"self": "/secrets/{name}"}

    name: str
    hosts: list[str]
    tools: list[str]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
