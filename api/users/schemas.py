"""Request and response bodies of users."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contracts.definitions import as_number
from services.field_types import Body, Read, UsdOut

MOST_AT_ONCE = 100_000
"""The largest quota."""

DailyUsd = Annotated[
    Decimal,
    Field(ge=0, max_digits=18, decimal_places=6),
    BeforeValidator(as_number, json_schema_input_type=Annotated[float, Field(ge=0)]),
]
"""With 0, no executions start."""


class QuotasRead(BaseModel):
    """The quotas of a user; null means no limit."""

    model_config = ConfigDict(frozen=True)

    max_concurrent_executions: int | None
    max_usd_per_day: UsdOut | None


class QuotaUsageRead(BaseModel):
    """The usage of the quotas: unfinished executions, and today's cost (UTC)."""

    model_config = ConfigDict(frozen=True)

    concurrent_executions: int
    usd_today: UsdOut


class CredentialsRead(BaseModel):
    """The credentials of the request; executions that it starts get `trigger_type`."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["token", "api_key"]
    api_key_id: UUID | None
    expires_at: datetime | None
    trigger_type: str


class MeRead(Read):
    """The user of the request; `subject` is the `sub` of the token."""

    id: UUID
    subject: str
    role: str
    created_at: datetime
    credentials: CredentialsRead
    quotas: QuotasRead
    usage: QuotaUsageRead


class UserRead(Read):
    """A user, for admins. For a quota that is null, the operator's default applies."""

    id: UUID
    subject: str
    role: str
    is_disabled: bool
    disabled_at: datetime | None
    max_concurrent_executions: int | None
    max_usd_per_day: UsdOut | None
    created_at: datetime


class UserUpdate(Body):
    """Changes to a user; null resets a quota to the operator's default."""

    is_disabled: bool = False
    max_concurrent_executions: Annotated[int | None, Field(ge=0, le=MOST_AT_ONCE)] = None
    max_usd_per_day: DailyUsd | None = None


class QueueRead(BaseModel):
    """Executions that wait for a worker."""

    model_config = ConfigDict(frozen=True)

    pending: int
    oldest_pending_seconds: float | None


class StatsRead(Read):
    """Statistics for admins; counts stop at `counted_to`.

    `executions` contains the active executions by status, `executions_today` all of today.
    """

    users: int
    users_disabled: int
    tasks: int
    sessions: int
    counted_to: int
    executions: dict[str, int]
    executions_today: dict[str, int]
    cost_today_usd: UsdOut
    queue: QueueRead
