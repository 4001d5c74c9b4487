"""Housekeeping: what grows is put away, and days that are over are added up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db import idempotency
from persistence.db.database import Database
from persistence.executions import signals
from persistence.ledger import usage

PERIOD_SECONDS = 60.0
"""Between two looks: nobody waits for any of it (chosen)."""

BATCH = 1_000
"""Rows of one transaction, which holds their locks for some 10 ms (chosen)."""

log = structlog.get_logger(__name__)


class Housekeeping:
    """One per worker process; several share the work or leave it to the first."""

    def __init__(self, database: Database) -> None:
        """Works on `database`."""
        self._database = database

    async def run(self) -> None:
        """Work until cancelled. A Postgres that is away is waited for."""
        while True:
            await self.tidy()
            await asyncio.sleep(PERIOD_SECONDS)

    async def tidy(self) -> Sequence[str]:
        """Do every chore once; returns the names of those that failed."""
        failed = []
        for chore in (self.expire_keys, self.put_messages_away, self.close_days):
            try:
                await chore()
            except Exception as error:  # noqa: BLE001 - the edge: one chore stops no other
                failed.append(chore.__name__)
                log.warning("housekeeping.failed", chore=failed[-1], error=type(error).__name__)
        return failed

    async def expire_keys(self) -> int:
        """Delete idempotency keys that are kept no longer."""
        return await self._in_batches(lambda s: idempotency.expire(s, batch=BATCH))

    async def put_messages_away(self) -> int:
        """Delete what was said to executions and taken in long ago."""
        return await self._in_batches(lambda s: signals.delete_consumed(s, batch=BATCH))

    async def close_days(self) -> int:
        """Add up every day that is over, the oldest first, each in a transaction of its own."""
        count = 0
        while True:
            async with self._database.transaction() as session:
                day = await usage.close_next_day(session, datetime.now(UTC))
            if day is None:
                return count
            log.debug("usage.closed", day=day.isoformat())
            count += 1

    async def _in_batches(self, work: Callable[[AsyncSession], Awaitable[int]]) -> int:
        total = 0
        while True:
            async with self._database.transaction() as session:
                count = await work(session)
            total += count
            if count < BATCH:
                return total
