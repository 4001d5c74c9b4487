"""API keys, as clients make and see them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from services.definitions.inputs import Name
from services.field_types import Body, Moment, Read

Role = Literal["user", "admin"]


class ApiKeyCreate(Body):
    """A key to be made. Without `expires_at` it holds until it is revoked."""

    name: Name
    expires_at: Moment | None = None
    role: Role = "user"


class ApiKeyRead(Read):
    """A key; `prefix` is how it begins."""

    id: UUID
    name: str
    prefix: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class ApiKeyCreated(ApiKeyRead):
    """A new key with its secret, which is told this once: a repeated answer has null there."""

    secret: str | None
