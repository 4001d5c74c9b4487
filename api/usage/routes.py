"""Usage by day, task, model or user."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.paging import address
from api.http.request_context import Called
from api.http.responses import answer
from api.usage.schemas import UsageGroup, UsageRead, UsageSums
from domain.errors import FieldProblem, InvalidInputError, PermissionDeniedError
from persistence.ledger import usage
from persistence.ledger.usage import Group, GroupBy, Measures, UsageFilter
from services.field_types import Day

router = APIRouter(prefix="/usage", tags=["usage"])

LONGEST_RANGE_DAYS = 366
"""One year, including leap years (chosen)."""

DEFAULT_RANGE_DAYS = 30


class UsageQuery(BaseModel):
    """Filters. `from` and `to` are days or times (UTC), both inclusive; `user_id` is for admins."""

    model_config = ConfigDict(extra="forbid")

    group_by: GroupBy = GroupBy.DAY
    since: Day | None = Field(default=None, alias="from")
    until: Day | None = Field(default=None, alias="to")
    task_id: UUID | None = None
    user_id: UUID | None = None

    def days(self, today: date) -> tuple[date, date]:
        """The first and the last day.

        Raises:
            InvalidInputError: `from` is after `to`, or the range is too long.
        """
        until = today if self.until is None else _day(self.until)
        earliest = max(until.toordinal() - DEFAULT_RANGE_DAYS + 1, 1)
        since = date.fromordinal(earliest) if self.since is None else _day(self.since)
        if since > until:
            problem = FieldProblem(("query", "from"), "Use a day that is not after `to`.")
            raise InvalidInputError("`from` is after `to`; see errors.", [problem])
        if until - since >= timedelta(days=LONGEST_RANGE_DAYS):
            problem = FieldProblem(("query", "from"), f"Use at most {LONGEST_RANGE_DAYS} days.")
            raise InvalidInputError("The time range is too long; see errors.", [problem])
        return since, until


@router.get("", responses={200: {"model": UsageRead}})
async def get_usage(call: Called, query: Annotated[UsageQuery, Query()]) -> Response:
    """Get the usage of your executions (default: the last 30 days). Admins see all users.

    An execution counts on the day on which it ended; an unfinished one counts today.
    """
    mine = call.principal.user_id
    asks_for_others = query.group_by is GroupBy.USER or query.user_id not in {None, mine}
    if asks_for_others and not call.principal.is_admin:
        raise PermissionDeniedError("Reading the usage of other users requires the admin role.")
    since, until = query.days(datetime.now(UTC).date())
    narrowed = UsageFilter(
        since=since,
        until=until,
        user_id=query.user_id if call.principal.is_admin else mine,
        task_id=query.task_id,
    )
    async with call.gateway.database.reading() as session:
        found = await usage.sum_usage(session, query.group_by, narrowed)
    read = UsageRead(
        group_by=query.group_by.value,
        since=since,
        until=until,
        items=[_group(query.group_by, group) for group in found.groups],
        is_capped=found.is_capped,
        totals=UsageSums(**_sums(found.totals)),
        links={"self": address(call.request)},
    )
    return answer(read)


def _group(group_by: GroupBy, group: Group) -> UsageGroup:
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


def _day(given: Day) -> date:
    return given.astimezone(UTC).date() if isinstance(given, datetime) else given
