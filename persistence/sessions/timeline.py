"""What happened in one execution, oldest first: events, messages, tool calls, model calls.

Each list is read behind a mark that grows with the story, so that a reader can follow it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from persistence.db.paging import COUNTED
from persistence.tables.columns import Row
from persistence.tables.executions import ExecutionEventRow
from persistence.tables.sessions import MessageRow, ModelCallRow, ToolCallRow

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class TimelinePage(Generic[R]):
    """A part of a story; `next_after` is the mark behind which it goes on, None at its end.

    `total` stops at `COUNTED`; `is_capped` says that there are more.
    """

    rows: Sequence[R]
    total: int
    is_capped: bool
    next_after: int | None


@dataclass(frozen=True, slots=True)
class TimelineRange:
    """Which part of a story: `limit` rows behind the mark `after`, or behind `offset` rows."""

    limit: int
    after: int | None = None
    offset: int = 0


async def list_events(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[ExecutionEventRow]:
    """Events; the mark is `seq`."""
    return await _chapter(
        session,
        ExecutionEventRow,
        ExecutionEventRow.execution_id == execution_id,
        ExecutionEventRow.seq,
        span,
    )


async def list_messages(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[MessageRow]:
    """The messages this execution added to its session, without superseded ones; mark: `seq`."""
    condition = (MessageRow.execution_id == execution_id) & MessageRow.superseded_at.is_(None)
    return await _chapter(session, MessageRow, condition, MessageRow.seq, span)


async def list_tool_calls(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[ToolCallRow]:
    """Tool calls, superseded ones too; the mark is the place in the list."""
    condition = ToolCallRow.execution_id == execution_id
    order = (ToolCallRow.turn, ToolCallRow.position, ToolCallRow.id)
    return await _placed(session, select(ToolCallRow).where(condition).order_by(*order), span)


async def list_model_calls(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[ModelCallRow]:
    """Every try of every model call, superseded ones too; the mark is the place in the list."""
    condition = ModelCallRow.execution_id == execution_id
    order = (ModelCallRow.turn, ModelCallRow.try_number, ModelCallRow.id)
    return await _placed(session, select(ModelCallRow).where(condition).order_by(*order), span)


async def _chapter(
    session: AsyncSession,
    row: type[R],
    condition: ColumnElement[bool],
    mark: InstrumentedAttribute[int],
    span: TimelineRange,
) -> TimelinePage[R]:
    query = select(row).where(condition)
    behind = query if span.after is None else query.where(mark > span.after)
    rows, total = await _read(session, query, behind.order_by(mark).offset(span.offset), span)
    last = getattr(rows[span.limit - 1], mark.key) if len(rows) > span.limit else None
    return TimelinePage(rows[: span.limit], min(total, COUNTED), total > COUNTED, last)


async def _placed(session: AsyncSession, query: Select[R], span: TimelineRange) -> TimelinePage[R]:
    """By place: a turn has a handful of calls and an execution some hundred turns."""
    start = (span.after or 0) + span.offset
    rows, total = await _read(session, query, query.offset(start), span)
    last = start + span.limit if len(rows) > span.limit else None
    return TimelinePage(rows[: span.limit], min(total, COUNTED), total > COUNTED, last)


async def _read(
    session: AsyncSession, query: Select[R], part: Select[R], span: TimelineRange
) -> tuple[Sequence[R], int]:
    """The rows, one more than asked for where there are more, and the bounded count."""
    counted = query.order_by(None).limit(COUNTED + 1).subquery()
    total = await session.scalar(select(func.count()).select_from(counted)) or 0
    rows = await session.scalars(part.limit(span.limit + 1))
    return rows.all(), total
