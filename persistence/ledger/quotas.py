"""What counts against a user's quotas."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.states import ExecutionStatus
from domain.ids import first_id_at
from persistence.executions.lifecycle import NOT_STARTED
from persistence.executions.queries import UNFINISHED

COUNTED = 100_000
"""Executions are counted up to here; a larger quota has no effect (chosen)."""

_USAGE = text("""
SELECT
    (SELECT count(*) FROM (
        SELECT 1 FROM executions
        WHERE user_id = :user_id AND status = ANY(:unfinished) LIMIT :counted
    ) AS unfinished) AS unfinished,
    (SELECT coalesce(sum(cost_usd - scripted_cost_usd), 0) FROM executions
        WHERE user_id = :user_id AND status = ANY(:started) AND id >= :since) AS usd_today
""")

_STARTED = sorted(set(ExecutionStatus) - set(NOT_STARTED))
"""States of executions that may have cost something. There may be many of the others."""


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """A user's unfinished executions, and what their executions of today (UTC) have cost so far.

    Calls of the scripted model cost nothing.
    """

    concurrent_executions: int
    usd_today: Decimal


async def load_usage(session: AsyncSession, user_id: UUID, *, counted: int = COUNTED) -> QuotaUsage:
    """What counts against the user's quotas, read from ranges of an index.

    Unfinished executions are counted up to `counted`.
    """
    found = (
        await session.execute(
            _USAGE,
            {
                "user_id": user_id,
                "unfinished": sorted(UNFINISHED),
                "started": _STARTED,
                "counted": counted,
                "since": first_id_at(midnight()),
            },
        )
    ).one()
    return QuotaUsage(found.unfinished, found.usd_today)


def midnight() -> datetime:
    """The beginning of today (UTC)."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
