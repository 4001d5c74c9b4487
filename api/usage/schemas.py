"""Usage as clients see it."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.field_types import Read, UsdOut


class UsageSums(BaseModel):
    """Sums over executions that ended, and over those under way (`unfinished`).

    `success_rate` is the completed part of those that ended. `human_wait_seconds` is the time with
    a request open, `running_seconds` that in which steps were made.
    """

    model_config = ConfigDict(frozen=True)

    executions: int
    completed: int
    failed: int
    cancelled: int
    unfinished: int
    success_rate: float | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: UsdOut
    running_seconds: float
    human_wait_seconds: float


class UsageGroup(UsageSums):
    """The sums of one group; what it is grouped by is filled in, of a day, task, model or user."""

    day: date | None = None
    task_id: UUID | None = None
    task_name: str | None = None
    model: str | None = None
    user_id: UUID | None = None
    user: str | None = None


class UsageRead(Read):
    """Usage from one day to another, both included (UTC). `totals` are over all groups."""

    group_by: str
    since: date = Field(serialization_alias="from")
    until: date = Field(serialization_alias="to")
    items: list[UsageGroup]
    is_capped: bool
    totals: UsageSums
