"""Checks quotas before a start. Users without a quota are looked up once in some seconds."""

import time
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from persistence.ledger import quotas
from persistence.ledger.quotas import Quotas

REMEMBERED_USERS = 10_000

REMEMBERED_SECONDS = 5.0
"""How long a user without a quota is not looked up again (chosen)."""


class QuotaGuard:
    """Checks quotas for one process. A change by an admin takes effect within seconds."""

    def __init__(self, defaults: Quotas) -> None:
        """Use `defaults` for users to whom no admin gave quotas of their own."""
        self.defaults = defaults
        self._free_until: dict[UUID, float] = {}

    async def check(self, session: AsyncSession, user_id: UUID) -> None:
        """Check that the user may start one more execution in this transaction.

        The transaction must not lock other rows after this call.

        Raises:
            UserDisabledError: an admin has switched the user off.
            QuotaExceededError: too many executions run, or today's budget is spent.
        """
        if self._free_until.get(user_id, 0) > time.monotonic():
            return
        if len(self._free_until) >= REMEMBERED_USERS:
            self._free_until.clear()
        self.forget(user_id)
        if not await quotas.check(session, user_id, self.defaults):
            self._free_until[user_id] = time.monotonic() + REMEMBERED_SECONDS

    def forget(self, user_id: UUID) -> None:
        """Look this user up again, because their quotas have changed."""
        self._free_until.pop(user_id, None)
