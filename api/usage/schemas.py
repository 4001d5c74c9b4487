"""Response bodies of usage."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.http.schemas import Read
from services.field_types import UsdOut


class UsageSums(BaseModel):
    """Totals of ended executions and of unfinished ones (`unfinished`).

    `success_rate` is the proportion of ended executions that completed. `human_wait_seconds` is the
    time with an open input request, `running_seconds` the time with running steps.
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
    """The totals of one group. Only the field of the grouping is set."""

    day: date | None = None
    task_id: UUID | None = None
    task_name: str | None = None
    model: str | None = None
    user_id: UUID | None = None
    user: str | None = None


class UsageRead(Read):
    """The usage from `from` to `to`, both inclusive (UTC). `totals` covers all groups."""

    group_by: str
    since: date = Field(serialization_alias="from")
    until: date = Field(serialization_alias="to")
    items: list[UsageGroup]
    is_capped: bool
    totals: UsageSums
