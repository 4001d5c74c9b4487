"""What is due for single requests: each is a transaction of its own, and delays no other."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from persistence.db.database import Database
from persistence.db.outages import is_outage
from persistence.executions import due_requests
from persistence.executions.due_requests import DueTime

log = structlog.get_logger(__name__)

BATCH = 50
"""Requests of one sweep (chosen)."""

POSTPONED = timedelta(minutes=10)
"""After an error of one request (chosen: an operator corrects its cause meanwhile)."""


async def act_or_postpone(
    database: Database,
    request_id: UUID,
    act: Callable[[], Awaitable[None]],
    *,
    field: DueTime,
    now: datetime,
) -> None:
    """Do what is due for a request at the time in `field`; after an error, `POSTPONED` later.

    Raises:
        Exception: the database is unavailable, so that no other request can be handled either.
    """
    try:
        await act()
    except Exception as error:
        if is_outage(error):
            raise
        log.warning(
            "input_request.action_failed",
            input_request_id=str(request_id),
            due=field,
            error=type(error).__name__,
        )
        async with database.transaction() as session:
            await due_requests.postpone(session, request_id, field, now + POSTPONED)
