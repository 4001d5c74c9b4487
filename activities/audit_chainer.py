"""The sealer: chains what was committed to the audit log."""

import asyncio

import structlog

from persistence.db.database import Database
from persistence.ledger import audit_chain

PERIOD_SECONDS = 5.0
"""Between two looks: an entry is sealed about this long after its commit (chosen).

A look takes some milliseconds, which executions on this worker wait for.
"""

BATCH = 1_000
"""Entries of one transaction: 30 ms (measured), and the next batch follows at once."""

log = structlog.get_logger(__name__)


class AuditChainer:
    """One per worker process; the database lets one of them seal at a time."""

    def __init__(self, database: Database) -> None:
        """Seals in `database`."""
        self._database = database

    async def run(self) -> None:
        """Seal until cancelled. A Postgres that is away is waited for."""
        while True:
            count = 0
            try:
                count = await self.look()
            except Exception as error:  # noqa: BLE001 - the edge: nobody else seals
                log.warning("sealer.failed", error=type(error).__name__)
            if count < BATCH:
                await asyncio.sleep(PERIOD_SECONDS)

    async def look(self) -> int:
        """Seal one batch; returns how many entries it had."""
        async with self._database.transaction() as session:
            return await audit_chain.seal(session, batch=BATCH)
