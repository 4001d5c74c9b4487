"""Quotas: how many executions of a user may be unfinished, and what they may cost in a day."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFoundError, QuotaExceededError, UserDisabledError
from persistence.identity import users
from persistence.ledger.quotas import QuotaUsage, load_usage, midnight
from persistence.tables.ledger import UserRow

RETRY_SECONDS = 10
"""When to retry while too many executions are unfinished: one may end at any time (chosen)."""


REMEMBERED_USERS = 10_000


@dataclass(frozen=True, slots=True)
class Quotas:
    """A user's quotas; None is no limit."""

    max_concurrent_executions: int | None = None
    max_usd_per_day: Decimal | None = None
    max_stored_bytes: int | None = None
    max_memory_entries: int | None = None
    """`services.storage` checks it and the stored bytes."""

    @property
    def limit_something(self) -> bool:
        """Whether there is any limit."""
        return self.max_concurrent_executions is not None or self.max_usd_per_day is not None


async def check(session: AsyncSession, user_id: UUID, defaults: Quotas, *, adding: int = 1) -> bool:
    """Check that the user may start more executions now; returns whether they have any quota.

    A user with a quota starts one execution at a time: the user's row stays locked until the
    transaction ends, so unfinished executions never exceed the limit. No row is locked after it
    (`persistence/db/locks.py`).

    Raises:
        UserDisabledError: an admin has disabled the user.
    """
    user = await users.find_current(session, user_id)
    if user is None:
        raise NotFoundError(f"User {user_id} does not exist.")
    if user.disabled_at is not None:
        raise UserDisabledError("This user is disabled; an admin can change that.")
    quotas = effective_quotas(user, defaults)
    if not quotas.limit_something:
        return False
    await users.find(session, user_id, lock=True)
    _compare(quotas, await load_usage(session, user_id), adding)
    return True


class QuotaGuard:
    """Checks quotas for one process. A change by an admin takes effect within seconds."""

    def __init__(self, defaults: Quotas, *, remembered_seconds: float) -> None:
        """Use `defaults` for users to whom no admin gave quotas of their own.

        A user without a quota is not looked up again for `remembered_seconds`.
        """
        self.defaults = defaults
        self._remembered_seconds = remembered_seconds
        self._free_until: dict[UUID, float] = {}

    async def check(self, session: AsyncSession, user_id: UUID, *, adding: int = 1) -> None:
        """Check that the user may start `adding` more executions in this transaction.

        The transaction must not lock other rows after this call.

        Raises:
            UserDisabledError: an admin has switched the user off.
        """
        if self._free_until.get(user_id, 0) > time.monotonic():
            return
        if len(self._free_until) >= REMEMBERED_USERS:
            self._free_until.clear()
        self.forget(user_id)
        if not await check(session, user_id, self.defaults, adding=adding):
            self._free_until[user_id] = time.monotonic() + self._remembered_seconds

    def forget(self, user_id: UUID) -> None:
        """Look this user up again, because their quotas have changed."""
        self._free_until.pop(user_id, None)


def effective_quotas(user: UserRow, defaults: Quotas) -> Quotas:
    """The user's own quotas, or the operator's where the user has none."""
    concurrent, usd = user.max_concurrent_executions, user.max_usd_per_day
    stored, entries = user.max_stored_bytes, user.max_memory_entries
    return Quotas(
        defaults.max_concurrent_executions if concurrent is None else concurrent,
        defaults.max_usd_per_day if usd is None else usd,
        defaults.max_stored_bytes if stored is None else stored,
        defaults.max_memory_entries if entries is None else entries,
    )


def _compare(quotas: Quotas, used: QuotaUsage, adding: int) -> None:
    most = quotas.max_concurrent_executions
    if most is not None and used.concurrent_executions + adding > most:
        needed = f", and this needs {adding} more" if adding > 1 else ""
        raise QuotaExceededError(
            f"You have {used.concurrent_executions} unfinished executions and may have {most} at "
            f"once{needed}; wait for one to end, or cancel one.",
            RETRY_SECONDS,
            limit=most,
        )
    usd = quotas.max_usd_per_day
    if usd is not None and used.usd_today >= usd:
        tomorrow = midnight() + timedelta(days=1)
        raise QuotaExceededError(
            f"Your executions of today have cost {used.usd_today:f} USD and you may spend {usd:f} "
            "in a day (UTC); try again tomorrow, or ask an admin to raise the limit.",
            (tomorrow - datetime.now(UTC)).total_seconds(),
        )
