"""Request and response bodies of API keys."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from services.definitions.inputs import Name
from services.field_types import Body, Moment, Read

Role = Literal["user", "admin"]


class ApiKeyCreate(Body):
    """A new key. Without `expires_at` it is valid until it is revoked."""

    name: Name
    expires_at: Moment | None = None
    role: Role = "user"


class ApiKeyRead(Read):
    """A key; `prefix` is its beginning."""

    id: UUID
    name: str
    prefix: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Accurate to the minute.")


class ApiKeyCreated(ApiKeyRead):
    """A new key with its secret. A repeated request returns null for the secret."""

    secret: str | None
