"""Usage as clients read it."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.http.paging import address
from api.http.request_context import Call
from api.http.schemas import Read
from domain.errors import FieldProblem, InvalidInputError, PermissionDeniedError
from persistence.ledger.usage import GroupBy, GroupUsage, Measures, UsageFilter, UsageReport
from services.caller import Caller
from services.field_types import Day, UsdOut


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


def render_usage(
    call: Call, group_by: GroupBy, filters: UsageFilter, usage: UsageReport
) -> UsageRead:
    """Return the usage of the days in the filter."""
    return UsageRead(
        group_by=group_by.value,
        since=filters.since,
        until=filters.until,
        items=[_render_group(group_by, group) for group in usage.groups],
        is_capped=usage.is_capped,
        totals=UsageSums(**_sums(usage.totals)),
        links={"self": address(call.request)},
    )


def _render_group(group_by: GroupBy, group: GroupUsage) -> UsageGroup:
    keys: dict[GroupBy, dict[str, Any]] = {
        GroupBy.DAY: {"day": group.key},
        GroupBy.TASK: {"task_id": group.key, "task_name": group.name},
        GroupBy.MODEL: {"model": group.key},
        GroupBy.USER: {"user_id": group.key, "user": group.name},
    }
    return UsageGroup(**keys[group_by], **_sums(group.measures))


def _sums(measures: Measures) -> dict[str, Any]:
    ended = measures.completed + measures.failed + measures.cancelled
    return {
        "executions": measures.executions,
        "completed": measures.completed,
        "failed": measures.failed,
        "cancelled": measures.cancelled,
        "unfinished": measures.executions - ended,
        "success_rate": round(measures.completed / ended, 6) if ended else None,
        "input_tokens": measures.input_tokens,
        "output_tokens": measures.output_tokens,
        "cache_read_tokens": measures.cache_read_tokens,
        "cache_write_tokens": measures.cache_write_tokens,
        "cost_usd": measures.cost_usd,
        "running_seconds": measures.running_ms / 1000,
        "human_wait_seconds": measures.human_wait_ms / 1000,
    }


MAX_RANGE_DAYS = 366
"""A leap year (chosen)."""


DEFAULT_RANGE_DAYS = 30


class UsageQuery(BaseModel):
    """Filters of usage. `from` and `to` are days or times (UTC), both included."""

    model_config = ConfigDict(extra="forbid")

    group_by: GroupBy = GroupBy.DAY
    since: Day | None = Field(default=None, alias="from")
    until: Day | None = Field(default=None, alias="to")
    task_id: UUID | None = None
    user_id: UUID | None = None

    def filter(self, caller: Caller, today: date) -> UsageFilter:
        """Return the filter for `persistence`.

        Raises:
            PermissionDeniedError: only an admin can read the usage of other users.
            InvalidInputError: the range of days is invalid.
        """
        wants_others = self.group_by is GroupBy.USER or self.user_id not in {None, caller.user_id}
        if wants_others and not caller.is_admin:
            raise PermissionDeniedError("Reading the usage of other users requires the admin role.")
        since, until = self._days(today)
        user_id = self.user_id if caller.is_admin else caller.user_id
        return UsageFilter(since=since, until=until, user_id=user_id, task_id=self.task_id)

    def _days(self, today: date) -> tuple[date, date]:
        """Return the first and the last day."""
        until = today if self.until is None else self.until
        earliest = max(until.toordinal() - DEFAULT_RANGE_DAYS + 1, 1)
        since = date.fromordinal(earliest) if self.since is None else self.since
        if since > until:
            problem = FieldProblem(("query", "from"), "Use a day that is not after `to`.")
            raise InvalidInputError("`from` is after `to`; see errors.", [problem])
        if until - since >= timedelta(days=MAX_RANGE_DAYS):
            problem = FieldProblem(("query", "from"), f"Use at most {MAX_RANGE_DAYS} days.")
            raise InvalidInputError("The time range is too long; see errors.", [problem])
        return since, until
