"""What the queries of a report share: both ends of a list, the start of a text, the message."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Label, ScalarSelect, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from domain.executions.report_facts import Excerpt
from domain.executions.steps import CallStatus
from persistence.tables.sessions import ModelCallRow, ToolCallRow

T = TypeVar("T")

Column = ColumnElement[Any] | InstrumentedAttribute[Any]

SENTENCE_CHARS = 500
"""Of titles, errors and answers: what still fits in a table (chosen)."""


@dataclass(frozen=True, slots=True)
class ListLimits:
    """How many entries a report has of the start and of the end of a list."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ListEnds(Generic[T]):
    """The entries that were read, in order, and how many there are in total."""

    entries: Sequence[T]
    total: int


async def read_ends(
    session: AsyncSession,
    key: InstrumentedAttribute[UUID],
    columns: Sequence[Column],
    *,
    where: Sequence[ColumnElement[bool]],
    order: Sequence[InstrumentedAttribute[Any]],
    limits: ListLimits,
    to_entry: Callable[[Any], T],
) -> ListEnds[T]:
    """Both ends of a list. Rows are numbered by key alone, so no text between them is read."""
    numbered = (
        select(
            key.label("key"),
            func.row_number().over(order_by=order).label("number"),
            func.count().over().label("total"),
        )
        .where(*where)
        .subquery()
    )
    number, total = numbered.c.number, numbered.c.total
    found = await session.execute(
        select(*columns, total)
        .join(numbered, numbered.c.key == key)
        .where(or_(number <= limits.first, number > total - limits.last))
        .order_by(number)
    )
    rows = found.all()
    return ListEnds([to_entry(row) for row in rows], rows[0].total if rows else 0)


def select_start(column: Column, name: str, length: int) -> tuple[Label[Any], Label[Any]]:
    """The first characters of a text column and its length, for `read_excerpt`."""
    return func.left(column, length).label(name), func.char_length(column).label(f"{name}_chars")


def read_excerpt(row: Any, name: str) -> Excerpt | None:
    """The text that `select_start` selected; None if the column is NULL."""
    text = getattr(row, name)
    return None if text is None else Excerpt(text=text, chars=getattr(row, f"{name}_chars"))


def format_value(value: Any) -> str:
    """A text as it is, any other JSON value as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def count_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Milliseconds from start to end; None if one of them is None."""
    if start is None or end is None:
        return None
    return max(round((end - start).total_seconds() * 1000), 0)


def message_of_turn(execution_id: UUID, turn: InstrumentedAttribute[int]) -> ScalarSelect[int]:
    """The number of the message with a turn's answer; NULL if there is no answer."""
    return (
        select(ModelCallRow.last_message_seq + 1)
        .where(
            ModelCallRow.execution_id == execution_id,
            ModelCallRow.superseded_at.is_(None),
            ModelCallRow.turn == turn,
            ModelCallRow.status == CallStatus.SUCCEEDED,
        )
        .limit(1)
        .scalar_subquery()
    )


def message_of_call(
    execution_id: UUID,
    tool_call_id: InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None],
) -> ScalarSelect[int]:
    """The number of the message that requested this tool call; NULL without a tool call."""
    return (
        select(message_of_turn(execution_id, ToolCallRow.turn))
        .where(ToolCallRow.id == tool_call_id, ToolCallRow.execution_id == execution_id)
        .limit(1)
        .scalar_subquery()
    )
