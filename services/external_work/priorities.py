"""Keeps the calculated priorities of external executions current."""

from collections.abc import Sequence
from uuid import UUID

from persistence.db.database import Database
from persistence.executions import priorities

BATCH = 500
"""Executions of one sweep (chosen: about 20 ms)."""


async def recalculate_changed(database: Database) -> int:
    """Compute the priorities that have changed; returns how many marks the larger part had.

    Two transactions: one locks executions in the order of their ids, the other those that are due
    and not locked (`persistence/db/locks.py`).
    """
    has_marks, has_due = await priorities.find_changes(database)
    marked: Sequence[UUID] = ()
    if has_marks:
        async with database.transaction() as session:
            marked = await priorities.take_outdated(session, limit=BATCH)
            await priorities.recalculate(session, marked)
    due: Sequence[UUID] = ()
    if has_due:
        async with database.transaction() as session:
            due = await priorities.lock_due(session, limit=BATCH)
            await priorities.recalculate(session, due)
    return max(len(marked), len(due))
