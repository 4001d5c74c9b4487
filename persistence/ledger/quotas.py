"""Quotas: how much of a user's may run at once, and be spent in a day."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFoundError, QuotaExceededError, UserDisabledError
from domain.ids import first_id_at
from persistence.executions.queries import UNFINISHED
from persistence.tables.users import UserRow

BUSY_SECONDS = 10
"""When to ask again while too much runs: something may end at any time (chosen)."""

_USAGE = text("""
SELECT
    (SELECT count(*) FROM (
        SELECT 1 FROM executions
        WHERE user_id = :user_id AND status = ANY(:unfinished) LIMIT :counted
    ) AS unfinished) AS unfinished,
    (SELECT coalesce(sum(cost_usd), 0) FROM executions
        WHERE user_id = :user_id AND id >= :since) AS usd_today
""")

COUNTED = 100_000
"""Executions are counted up to here; a larger quota is none (chosen)."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a user may do; None is no limit."""

    max_concurrent_executions: int | None = None
    max_usd_per_day: Decimal | None = None

    @property
    def limit_something(self) -> bool:
        """Whether there is anything to count."""
        return self.max_concurrent_executions is not None or self.max_usd_per_day is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user has running, and what their executions of today (UTC) have cost so far."""

    concurrent_executions: int
    usd_today: Decimal


async def check(session: AsyncSession, user_id: UUID, defaults: Quotas) -> bool:
    """Let the user start one more execution in this transaction; whether they have any quota.

    Whoever has one starts one at a time: the user's row stays locked until the transaction ends, so
    that what runs at once never exceeds the limit. It is the last row to be locked (`locks`).

    Raises:
        UserDisabledError: an admin has switched the user off.
        QuotaExceededError: too much runs, or was spent today.
    """
    quotas = effective(await _user(session, user_id), defaults)
    if not quotas.limit_something:
        return False
    # A lock that lets others' rows refer to this one, which every insert of theirs does.
    await session.execute(
        select(UserRow.id).where(UserRow.id == user_id).with_for_update(key_share=True)
    )
    _compare(quotas, await usage(session, user_id))
    return True


def effective(user: UserRow, defaults: Quotas) -> Quotas:
    """The user's own quotas, or the operator's where an admin gave none."""
    concurrent, usd = user.max_concurrent_executions, user.max_usd_per_day
    return Quotas(
        defaults.max_concurrent_executions if concurrent is None else concurrent,
        defaults.max_usd_per_day if usd is None else usd,
    )


async def usage(session: AsyncSession, user_id: UUID) -> Usage:
    """What counts against the quotas, from two ranges of indexes."""
    found = (
        await session.execute(
            _USAGE,
            {
                "user_id": user_id,
                "unfinished": sorted(UNFINISHED),
                "counted": COUNTED,
                "since": first_id_at(midnight()),
            },
        )
    ).one()
    return Usage(found.unfinished, found.usd_today)


async def _user(session: AsyncSession, user_id: UUID) -> UserRow:
    user = await session.get(UserRow, user_id, populate_existing=True)
    if user is None:
        raise NotFoundError(f"There is no user {user_id}.")
    if user.disabled_at is not None:
        raise UserDisabledError("This user is disabled; an admin can change that.")
    return user


def _compare(quotas: Quotas, used: Usage) -> None:
    most = quotas.max_concurrent_executions
    if most is not None and used.concurrent_executions >= most:
        raise QuotaExceededError(
            f"Unfinished executions: {used.concurrent_executions}, and no more than {most} may be "
            "at once; wait for one to end, or cancel one.",
            BUSY_SECONDS,
            limit=most,
        )
    usd = quotas.max_usd_per_day
    if usd is not None and used.usd_today >= usd:
        tomorrow = midnight() + timedelta(days=1)
        raise QuotaExceededError(
            f"Executions of today have cost {used.usd_today:f} USD and {usd:f} may be spent in a "
            "day (UTC); try again tomorrow, or ask an admin for more.",
            (tomorrow - datetime.now(UTC)).total_seconds(),
        )


def midnight() -> datetime:
    """When today began (UTC)."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
