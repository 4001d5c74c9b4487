"""Input requests whose time has come: reminders, escalations and held answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import and_, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.database import Database
from persistence.tables.sessions import InputRequestRow

DueTime = Literal["next_action_at", "effective_at"]
"""When something is due for a request: its reminder or escalation, or its held answer."""

DUE_FOR_ACTION = text("""
SELECT id, execution_id FROM input_requests
WHERE status = 'open' AND next_action_at <= :now ORDER BY next_action_at LIMIT :limit
""")


async def list_due_for_action(
    database: Database, now: datetime, *, limit: int
) -> Sequence[tuple[UUID, UUID]]:
    """Open requests to be recalled or escalated now, with their executions, longest due first."""
    rows = await database.raw.rows(DUE_FOR_ACTION, {"now": now, "limit": limit})
    return [(row.id, row.execution_id) for row in rows]


HELD = text("""
SELECT id FROM input_requests
WHERE held_rule IS NOT NULL AND effective_at <= :now ORDER BY effective_at LIMIT :limit
""")


async def list_held(database: Database, now: datetime, *, limit: int) -> Sequence[UUID]:
    """The requests whose held answers take effect now, oldest first."""
    return [row.id for row in await database.raw.rows(HELD, {"now": now, "limit": limit})]


async def postpone(session: AsyncSession, row_id: UUID, field: DueTime, to: datetime) -> None:
    """Set a later time for the next action of a request, or for the effect of its held answer."""
    column = getattr(InputRequestRow, field)
    condition = and_(InputRequestRow.id == row_id, column.is_not(None))
    await session.execute(update(InputRequestRow).where(condition).values({field: to}))
