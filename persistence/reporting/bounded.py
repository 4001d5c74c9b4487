"""Bounded reading for reports: the two ends of a list, the beginning of a text."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Label, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from domain.report_facts import Excerpt
from domain.text import clean

P = TypeVar("P")

SENTENCE_CHARS = 500
"""Of titles, errors and answers: what a table shows without drowning (chosen)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How many rows of a list are kept, at either end."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Ends(Generic[P]):
    """What was kept, in order, and how many there are in all."""

    parts: Sequence[P]
    total: int


async def ends(
    session: AsyncSession,
    key: InstrumentedAttribute[UUID],
    columns: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    *,
    where: Sequence[ColumnElement[bool]],
    order: Sequence[InstrumentedAttribute[Any]],
    kept: Kept,
    part: Callable[[Any], P],
) -> Ends[P]:
    """Both ends of a list. Rows are numbered by key alone, so no text of the middle is read."""
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
        .where(or_(number <= kept.first, number > total - kept.last))
        .order_by(number)
    )
    rows = found.all()
    return Ends([part(row) for row in rows], rows[0].total if rows else 0)


def beginning(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], name: str, length: int
) -> tuple[Label[Any], Label[Any]]:
    """The first characters of a text column and its length, to be read by `excerpt`."""
    return func.left(column, length).label(name), func.char_length(column).label(f"{name}_chars")


def excerpt(row: Any, name: str) -> Excerpt | None:
    """What `beginning` selected."""
    text = getattr(row, name)
    return None if text is None else Excerpt(text=text, chars=getattr(row, f"{name}_chars"))


def shortened(text: str, length: int) -> Excerpt:
    """The beginning of a text that is at hand."""
    text = clean(text)
    return Excerpt(text=text[:length], chars=len(text))


def as_text(value: Any) -> str:
    """A JSON value as a person reads it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def milliseconds(start: datetime | None, end: datetime | None) -> int | None:
    """From start to end; None while one is missing."""
    if start is None or end is None:
        return None
    return max(round((end - start).total_seconds() * 1000), 0)
