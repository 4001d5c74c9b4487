"""Maintenance of the database: delete expired rows, total finished days, chain the audit log.

Each function returns the number of rows or days that it handled, of rows at most `BATCH` in one
transaction. Any number of workers may call them at the same time.
"""

from datetime import UTC, datetime

import structlog

from persistence.db import idempotency
from persistence.db.database import Database
from persistence.executions import signals
from persistence.ledger import audit_chain, usage

BATCH = 1_000
"""Rows of one transaction: deletes hold their locks for about 10 ms (chosen), chaining takes 30 ms
(measured)."""

log = structlog.get_logger(__name__)


async def delete_expired_keys(database: Database) -> int:
    """Delete idempotency keys that have expired."""
    async with database.transaction() as session:
        return await idempotency.delete_expired(session, batch=BATCH)


async def delete_consumed_signals(database: Database) -> int:
    """Delete signals that were consumed more than a day ago."""
    async with database.transaction() as session:
        return await signals.delete_consumed(session, batch=BATCH)


async def sum_finished_days(database: Database) -> int:
    """Total the usage of each finished day, oldest first, each in its own transaction."""
    count = 0
    while True:
        async with database.transaction() as session:
            day = await usage.close_next_day(session, datetime.now(UTC))
        if day is None:
            return count
        log.debug("usage.day_totalled", day=day.isoformat())
        count += 1


async def chain_audit_entries(database: Database) -> int:
    """Append committed audit entries to the hash chain. Return 0 if another worker is chaining."""
    async with database.transaction() as session:
        return await audit_chain.seal(session, batch=BATCH)
