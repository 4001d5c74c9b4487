"""Routes of usage: tokens, cost and time of executions, by day, task, model or user."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.http.request_context import Called
from api.http.responses import answer
from api.links import BASE
from api.usage.schemas import UsageQuery, UsageRead, render_usage
from persistence.ledger import usage

router = APIRouter(prefix=f"{BASE}/usage", tags=["usage"])


@router.get("", responses={200: {"model": UsageRead}})
async def get_usage(call: Called, query: Annotated[UsageQuery, Query()]) -> Response:
    """Get the usage of your executions in a range of days (the last 30); admins see all users.

    An execution counts on the day it ended, and until then on the current day.
    """
    filters = query.filter(call.caller, datetime.now(UTC).date())
    async with call.gateway.database.reading() as session:
        found = await usage.sum_usage(session, query.group_by, filters)
    return answer(render_usage(call, query.group_by, filters, found))
