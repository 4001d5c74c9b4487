"""The hosts of workers: each announces itself, and finds out whether another one still runs."""

import asyncio
import time
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.database import Database
from persistence.sessions import workspaces

ANNOUNCE_SECONDS = 1.0
"""How often a host announces itself."""

SILENT_SECONDS = 5.0
"""A host that has not announced itself for this long does not answer (chosen: as long as a missed
heartbeat of an activity)."""

_FRESH_SECONDS = 2.0
"""A host that announced itself within this time answers: the next time is not due yet, or a moment
ago."""

_POLL_SECONDS = 0.25


async def has_workers(session: AsyncSession) -> bool:
    """Whether a worker runs: otherwise executions wait."""
    return await workspaces.has_announced_host(session, within_seconds=SILENT_SECONDS)


class WorkerHosts:
    """This host among the others."""

    def __init__(self, database: Database, host_id: UUID) -> None:
        """`host_id` is this host."""
        self.host_id = host_id
        self.has_others = False
        """Whether other hosts have announced themselves within the last minute."""
        self._database = database
        self._announced_at = 0.0
        self._steady_since = 0.0

    async def announce(self) -> None:
        """Announce this host."""
        self.has_others = await workspaces.announce_host(self._database, self.host_id)
        now = time.monotonic()
        if now - self._announced_at > SILENT_SECONDS:
            self._steady_since = now
        self._announced_at = now

    async def answers(self, host_id: UUID) -> bool:
        """Wait until it is known whether another host answers.

        Its silence counts only if this host could announce itself all that time: otherwise the
        database was unavailable, for the other host too.
        """
        while True:
            silence = await workspaces.host_silence_seconds(self._database, host_id)
            if silence is not None and silence < _FRESH_SECONDS:
                return True
            is_current = time.monotonic() - self._announced_at < _FRESH_SECONDS
            is_steady = self._announced_at - self._steady_since > SILENT_SECONDS
            if is_current and is_steady and (silence is None or silence > SILENT_SECONDS):
                return False
            await asyncio.sleep(_POLL_SECONDS)
