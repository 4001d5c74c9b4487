"""Totals for administrators, read from ranges of indexes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import first_id_at
from persistence.db.paging import COUNTED
from persistence.ledger.quotas import midnight
from persistence.tables.executions import ACTIVE_STATUSES

_TOTALS = text("""
SELECT
    (SELECT count(*) FROM (SELECT FROM users LIMIT :counted) AS u) AS users,
    (SELECT count(*) FROM users WHERE disabled_at IS NOT NULL) AS users_disabled,
    (SELECT count(*) FROM (SELECT FROM tasks WHERE deleted_at IS NULL LIMIT :counted) AS t)
        AS tasks,
    (SELECT count(*) FROM (SELECT FROM sessions WHERE deleted_at IS NULL LIMIT :counted) AS s)
        AS sessions
""")

# Only active executions are counted: there may be millions of ended ones.
_UNFINISHED = text(f"""
SELECT status, count(*) AS number, min(created_at) AS oldest FROM executions
WHERE status IN {ACTIVE_STATUSES} GROUP BY status
""")  # noqa: S608 - our own list of states

_TODAY = text("""
SELECT status, count(*) AS number, coalesce(sum(cost_usd - scripted_cost_usd), 0) AS usd
FROM executions
WHERE id >= :since GROUP BY status
""")


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals stop at `persistence.db.paging.COUNTED`; the others are exact."""

    users: int
    users_disabled: int
    tasks: int
    sessions: int
    active: Mapping[str, int]
    today: Mapping[str, int]
    cost_today_usd: Decimal
    oldest_pending_at: datetime | None


async def load_stats(session: AsyncSession) -> Stats:
    """All totals."""
    totals = (await session.execute(_TOTALS, {"counted": COUNTED})).one()
    active = (await session.execute(_UNFINISHED)).all()
    today = (await session.execute(_TODAY, {"since": first_id_at(midnight())})).all()
    oldest = {row.status: row.oldest for row in active}
    return Stats(
        users=totals.users,
        users_disabled=totals.users_disabled,
        tasks=totals.tasks,
        sessions=totals.sessions,
        active={row.status: row.number for row in active},
        today={row.status: row.number for row in today},
        cost_today_usd=sum((row.usd for row in today), Decimal(0)),
        oldest_pending_at=oldest.get("pending"),
    )
