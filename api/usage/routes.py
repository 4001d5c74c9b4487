"""Routes of usage: tokens, cost and time of executions, by day, task, model or user."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.request_context import Called
from api.http.responses import answer
from api.usage.schemas import UsageRead, render_usage
from domain.errors import FieldProblem, InvalidInputError, PermissionDeniedError
from persistence.ledger import usage
from persistence.ledger.usage import GroupBy, UsageFilter
from services.caller import Caller
from services.field_types import Day

router = APIRouter(prefix="/usage", tags=["usage"])

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


@router.get("", responses={200: {"model": UsageRead}})
async def get_usage(call: Called, query: Annotated[UsageQuery, Query()]) -> Response:
    """Get the usage of your executions in a range of days (the last 30); admins see all users.

    An execution counts on the day it ended, and until then on the current day.
    """
    filters = query.filter(call.caller, datetime.now(UTC).date())
    async with call.gateway.database.reading() as session:
        found = await usage.sum_usage(session, query.group_by, filters)
    return answer(render_usage(call, query.group_by, filters, found))
