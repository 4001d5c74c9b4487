"""Whether a user may start something more, asked of the database only for who has a quota."""

import time
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth.authentication import REMEMBERED_SECONDS
from services import quotas
from services.quotas import Quotas

REMEMBERED_USERS = 10_000


class Allowances:
    """One gateway's memory of who has no quota; an admin's change reaches it within seconds."""

    def __init__(self, defaults: Quotas) -> None:
        """`defaults` hold for whom an admin gave nothing else."""
        self.defaults = defaults
        self._free_until: dict[UUID, float] = {}

    async def check(self, session: AsyncSession, user_id: UUID) -> None:
        """Let the user start one more execution in this transaction, which locks nothing after.

        Raises:
            UserDisabledError: an admin has switched the user off.
            QuotaExceededError: too much runs, or was spent today.
        """
        if self._free_until.get(user_id, 0) > time.monotonic():
            return
        if len(self._free_until) >= REMEMBERED_USERS:
            self._free_until.clear()
        self.forget(user_id)
        if not await quotas.check(session, user_id, self.defaults):
            self._free_until[user_id] = time.monotonic() + REMEMBERED_SECONDS

    def forget(self, user_id: UUID) -> None:
        """Ask again about this user, whose quotas have changed."""
        self._free_until.pop(user_id, None)
