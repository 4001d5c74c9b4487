"""The timeline of one execution, oldest first: events, messages, tool calls, model calls.

Each list is read after a cursor that grows with the timeline, so a client can follow it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from persistence.db.paging import COUNTED, read_bounded
from persistence.tables.columns import Row
from persistence.tables.executions import ExecutionEventRow
from persistence.tables.sessions import MessageRow, ModelCallRow, ToolCallRow

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class TimelinePage(Generic[R]):
    """A part of a timeline; the next part follows after `next_after`, None at the end.

    `total` stops at `COUNTED`; `is_capped`: there are more.
    """

    rows: Sequence[R]
    total: int
    is_capped: bool
    next_after: int | None


@dataclass(frozen=True, slots=True)
class TimelineRange:
    """Which part of a timeline: `limit` rows after the cursor `after`, or after `offset` rows."""

    limit: int
    after: int | None = None
    offset: int = 0


async def list_events(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[ExecutionEventRow]:
    """Events; the cursor is `seq`."""
    return await read_by_seq(
        session,
        ExecutionEventRow,
        ExecutionEventRow.execution_id == execution_id,
        ExecutionEventRow.seq,
        span,
    )


async def list_messages(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[MessageRow]:
    """The messages that this execution added, without superseded ones; the cursor is `seq`."""
    condition = (MessageRow.execution_id == execution_id) & MessageRow.superseded_at.is_(None)
    return await read_by_seq(session, MessageRow, condition, MessageRow.seq, span)


async def list_tool_calls(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[ToolCallRow]:
    """Tool calls, including superseded ones; the cursor is the position in the list."""
    condition = ToolCallRow.execution_id == execution_id
    order = (ToolCallRow.turn, ToolCallRow.position, ToolCallRow.id)
    return await read_by_position(session, ToolCallRow, condition, order, span)


async def find_tool_calls(
    session: AsyncSession, execution_ids: Collection[UUID], tool_use_ids: Collection[str]
) -> Sequence[ToolCallRow]:
    """The calls of these executions with these ids, without superseded ones."""
    if not tool_use_ids:
        return ()
    found = await session.scalars(
        select(ToolCallRow).where(
            ToolCallRow.execution_id.in_(execution_ids),
            ToolCallRow.tool_use_id.in_(tool_use_ids),
            ToolCallRow.superseded_at.is_(None),
        )
    )
    return found.all()


async def list_model_calls(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[ModelCallRow]:
    """Every attempt of every model call, including superseded ones; the cursor is the position."""
    condition = ModelCallRow.execution_id == execution_id
    order = (ModelCallRow.turn, ModelCallRow.try_number, ModelCallRow.id)
    return await read_by_position(session, ModelCallRow, condition, order, span)


async def read_by_seq(
    session: AsyncSession,
    row: type[R],
    condition: ColumnElement[bool],
    cursor: InstrumentedAttribute[int],
    span: TimelineRange,
) -> TimelinePage[R]:
    """The rows of a condition in the order of `cursor`, a column that grows with them."""
    query = select(row).where(condition)
    total = await _count(session, query)
    following = query if span.after is None else query.where(cursor > span.after)
    part = following.offset(span.offset)
    rows, has_more = await read_bounded(session, row, part, [cursor], span.limit)
    last = getattr(rows[-1], cursor.key) if has_more else None
    return TimelinePage(rows, min(total, COUNTED), total > COUNTED, last)


async def read_by_position(
    session: AsyncSession,
    row: type[R],
    condition: ColumnElement[bool],
    order: Sequence[InstrumentedAttribute[Any]],
    span: TimelineRange,
) -> TimelinePage[R]:
    """Read by position: a turn has a few calls, and an execution some hundred turns."""
    query = select(row).where(condition)
    total = await _count(session, query)
    start = (span.after or 0) + span.offset
    rows, has_more = await read_bounded(session, row, query.offset(start), order, span.limit)
    last = start + len(rows) if has_more else None
    return TimelinePage(rows, min(total, COUNTED), total > COUNTED, last)


async def _count(session: AsyncSession, query: Select[R]) -> int:
    """The bounded count."""
    counted = query.limit(COUNTED + 1).subquery()
    return await session.scalar(select(func.count()).select_from(counted)) or 0
