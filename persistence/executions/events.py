"""Appends and reads the events of an execution. Steps append theirs in `step_log.py`."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.events import Event
from persistence.db import sql
from persistence.db.database import Database, to_json
from persistence.db.live_updates import WATCH_CHANNEL, notify

WATCHED_SECONDS = 15.0
"""How long an execution is watched after an announcement: three intervals of them (chosen)."""

_LIST_AFTER = text("""
SELECT execution_id, seq, type, at, data FROM execution_events
WHERE execution_id = :execution_id AND seq > :seq ORDER BY seq LIMIT :limit
""")

_SQL = sql.load("executions/step_log.sql")


async def append(session: AsyncSession, execution_id: UUID, *events: Event) -> int:
    """Append events in order and return the last one's `seq`; takes the execution's row lock."""
    parameters = {
        "execution_id": execution_id,
        "types": [event.type for event in events],
        "data": [to_json(event.data) for event in events],
    }
    last: int | None = await session.scalar(_SQL["append_events"], parameters)
    if last is None:
        raise LookupError(f"no execution {execution_id}")
    return last


async def watch(session: AsyncSession, execution_ids: Sequence[UUID]) -> None:
    """Publish the events of these executions for `WATCHED_SECONDS`, and ask workers for text."""
    duration = timedelta(seconds=WATCHED_SECONDS)
    await session.execute(_SQL["watch"], {"ids": list(execution_ids), "duration": duration})
    await notify(session, WATCH_CHANNEL, *map(str, execution_ids))


async def list_after(
    database: Database, execution_id: UUID, seq: int, *, limit: int
) -> Sequence[SimpleNamespace]:
    """The events after `seq`, oldest first, at most `limit`."""
    parameters = {"execution_id": execution_id, "seq": seq, "limit": limit}
    return await database.raw.rows(_LIST_AFTER, parameters)
