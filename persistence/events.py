"""Appending to an execution's story. The loop's own steps append in `persistence/record.py`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.events import Event
from persistence.tables.events import ExecutionEventRow
from persistence.tables.executions import ExecutionRow


def tell(session: AsyncSession, row: ExecutionRow, *events: Event) -> None:
    """Append events for a row that is loaded and locked; written with it at the next flush."""
    for event in events:
        row.event_seq += 1
        session.add(
            ExecutionEventRow(
                execution_id=row.id, seq=row.event_seq, type=event.type, data=event.data
            )
        )


async def append(session: AsyncSession, execution_id: UUID, *events: Event) -> int:
    """Append events in order and return the last one's `seq`; takes the execution's row lock."""
    last: int | None = await session.scalar(
        update(ExecutionRow)
        .where(ExecutionRow.id == execution_id)
        .values(event_seq=ExecutionRow.event_seq + len(events))
        .returning(ExecutionRow.event_seq)
    )
    if last is None:
        raise LookupError(f"no execution {execution_id}")
    first = last - len(events) + 1
    await session.execute(
        insert(ExecutionEventRow),
        [
            {"execution_id": execution_id, "seq": first + i, "type": e.type, "data": e.data}
            for i, e in enumerate(events)
        ],
    )
    return last


async def after(
    session: AsyncSession, execution_id: UUID, seq: int, *, limit: int
) -> Sequence[ExecutionEventRow]:
    """The events behind `seq`, oldest first, at most `limit`."""
    rows = await session.scalars(
        select(ExecutionEventRow)
        .where(ExecutionEventRow.execution_id == execution_id, ExecutionEventRow.seq > seq)
        .order_by(ExecutionEventRow.seq)
        .limit(limit)
    )
    return rows.all()
