"""Appends and reads the events of an execution. Steps append theirs in `step_log.py`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.events import Event
from persistence.db import sql
from persistence.db.database import to_json
from persistence.tables.executions import ExecutionEventRow

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


async def list_after(
    session: AsyncSession, execution_id: UUID, seq: int, *, limit: int
) -> Sequence[ExecutionEventRow]:
    """The events after `seq`, oldest first, at most `limit`."""
    rows = await session.scalars(
        select(ExecutionEventRow)
        .where(ExecutionEventRow.execution_id == execution_id, ExecutionEventRow.seq > seq)
        .order_by(ExecutionEventRow.seq)
        .limit(limit)
    )
    return rows.all()
