"""Keeps the calculated priorities of external executions current."""

from persistence.db.database import Database
from persistence.executions import priorities

BATCH = 500
"""Executions of one sweep (chosen: about 20 ms)."""


async def recalculate_changed(database: Database) -> int:
    """Compute the priorities that have changed; returns how many marks the larger part had.

    Two transactions: one locks executions in the order of their ids, the other those that are due
    and not locked (`persistence/db/locks.py`).
    """
    async with database.transaction() as session:
        marked = await priorities.take_outdated(session, limit=BATCH)
        await priorities.recalculate(session, marked)
    async with database.transaction() as session:
        due = await priorities.lock_due(session, limit=BATCH)
        await priorities.recalculate(session, due)
    return max(len(marked), len(due))
