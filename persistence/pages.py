"""One page of a list, newest first: keyset by id (UUIDv7), so that depth costs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from persistence.tables.columns import Row

COUNTED = 10_000
"""Totals are exact up to here (contract.md, section 1): counting a million rows takes 90 ms."""

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list: `limit` rows behind `before`, or behind `offset` rows."""

    limit: int
    before: UUID | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Rows of one page. `total` stops at `COUNTED`; `is_capped` says that there are more."""

    rows: Sequence[R]
    total: int
    is_capped: bool
    has_more: bool


async def newest(
    session: AsyncSession,
    row: type[R],
    key: InstrumentedAttribute[UUID],
    branches: Sequence[ColumnElement[bool]],
    window: Window,
) -> Page[R]:
    """The page of rows that satisfy one of `branches`, which must exclude each other.

    Each branch is limited by itself, so that each uses its own index; one OR would use none.
    """
    total = await _count(session, key, branches)
    needed = window.offset + window.limit + 1
    ids = [
        select(key)
        .where(branch, *([key < window.before] if window.before else []))
        .order_by(key.desc())
        .limit(needed)
        for branch in branches
    ]
    found = await session.scalars(
        select(row)
        .where(key.in_(union_all(*ids)))
        .order_by(key.desc())
        .offset(window.offset)
        .limit(window.limit + 1)
    )
    rows = found.all()
    return Page(
        rows=rows[: window.limit],
        total=min(total, COUNTED),
        is_capped=total > COUNTED,
        has_more=len(rows) > window.limit,
    )


async def _count(
    session: AsyncSession,
    key: InstrumentedAttribute[UUID],
    branches: Sequence[ColumnElement[bool]],
) -> int:
    limited = [select(key).where(branch).limit(COUNTED + 1) for branch in branches]
    total = await session.scalar(select(func.count()).select_from(union_all(*limited).subquery()))
    return total or 0
