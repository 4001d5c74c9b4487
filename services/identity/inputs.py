"""The bodies that the services of users and API keys accept."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from contracts.definitions import as_number
from services.definitions.inputs import Name
from services.field_types import Body, Moment

MAX_CONCURRENT_EXECUTIONS = 100_000
"""The largest quota (chosen: more executions than one installation runs)."""

Role = Literal["user", "admin"]

DailyUsd = Annotated[
    Decimal,
    Field(ge=0, max_digits=18, decimal_places=6),
    BeforeValidator(as_number, json_schema_input_type=Annotated[float, Field(ge=0)]),
]
"""With 0 no execution starts."""


class ApiKeyCreate(Body):
    """A new API key. Without `expires_at` it is valid until it is revoked."""

    name: Name
    expires_at: Moment | None = None
    role: Role = "user"


class UserUpdate(Body):
    """Changes to a user; null resets a quota to the operator's default."""

    is_disabled: bool = False
    max_concurrent_executions: Annotated[int | None, Field(ge=0, le=MAX_CONCURRENT_EXECUTIONS)] = (
        None
    )
    max_usd_per_day: DailyUsd | None = None
