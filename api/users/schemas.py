"""Users and their API keys as clients read them, and statistics for admins."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.http.schemas import Read
from services.field_types import UsdOut
from services.identity.inputs import Role


class QuotasRead(BaseModel):
    """The quotas of a user; null means no limit."""

    model_config = ConfigDict(frozen=True)

    max_concurrent_executions: int | None
    max_usd_per_day: UsdOut | None


class QuotaUsageRead(BaseModel):
    """What counts against the quotas: executions in progress, and the cost of today (UTC)."""

    model_config = ConfigDict(frozen=True)

    concurrent_executions: int
    usd_today: UsdOut


class CredentialsRead(BaseModel):
    """The credentials of a request; `trigger_type` is that of the executions it starts."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["token", "api_key"]
    api_key_id: UUID | None
    expires_at: datetime | None
    trigger_type: str


class MeRead(Read):
    """The user of a request; `subject` is the token's `sub`."""

    paths = {"self": "/me", "api_keys": "/api-keys"}

    id: UUID
    subject: str
    role: str
    created_at: datetime
    credentials: CredentialsRead
    quotas: QuotasRead
    usage: QuotaUsageRead


class ApiKeyRead(Read):
    """An API key; `prefix` is how it starts."""

    paths = {"self": "/api-keys/{id}"}

    id: UUID
    name: str
    prefix: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class ApiKeyCreated(ApiKeyRead):
    """A new key with its secret, which is null in the response to a repeated request."""

    secret: str | None


class UserRead(Read):
    """A user as admins see one. If a quota is null, the operator's default applies."""

    paths = {"self": "/admin/users/{id}"}

    id: UUID
    subject: str
    role: str
    is_disabled: bool
    disabled_at: datetime | None
    max_concurrent_executions: int | None
    max_usd_per_day: UsdOut | None
    created_at: datetime


class QueueRead(BaseModel):
    """Executions that wait for a worker."""

    model_config = ConfigDict(frozen=True)

    pending: int
    oldest_pending_seconds: float | None


class StatsRead(Read):
    """Statistics for admins; totals are exact up to `counted_to`.

    `executions` counts those that have not ended, by status; `executions_today` all of today.
    """

    paths = {"self": "/admin/stats", "users": "/admin/users"}

    users: int
    users_disabled: int
    tasks: int
    sessions: int
    counted_to: int
    executions: dict[str, int]
    executions_today: dict[str, int]
    cost_today_usd: UsdOut
    queue: QueueRead
