"""One page of a list, newest first, by keyset on the id (UUIDv7): a deep page costs no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Select,
    String,
    and_,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from domain.ids import first_id_at
from persistence.tables.columns import Row

COUNTED = 10_000
"""Totals are exact up to here: counting a million rows takes 90 ms."""

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends after the row that exceeds this size of texts and JSON (chosen: a hundred ordinary
executions have less than 1 MB)."""

SKEW = timedelta(minutes=10)
"""Between the clock that made an id and the database's, plus the time of a transaction (chosen:
clocks that differ by more make tokens invalid first)."""

Filters = Mapping[str, Any]

Bind = Callable[[Any], ColumnElement[Any]]
"""Makes the SQL of a value."""

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list: `limit` rows after the id `before`, or after `offset` rows.

    `first` and `last` are the bounds of the ids, both included.
    """

    limit: int
    before: UUID | None = None
    offset: int = 0
    first: UUID | None = None
    last: UUID | None = None

    def bounds(
        self, key: InstrumentedAttribute[UUID], bind: Bind = literal
    ) -> list[ColumnElement[bool]]:
        """The conditions of `first` and `last`; `bind` is how they contain values."""
        first = [] if self.first is None else [key >= bind(self.first)]
        return first if self.last is None else [*first, key <= bind(self.last)]

    def contains(self, id_: UUID) -> bool:
        """Whether an id is within the bounds."""
        is_above = self.first is None or id_ >= self.first
        return is_above and (self.last is None or id_ <= self.last)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Rows of one page. `total` stops at `COUNTED`; `is_capped`: there are more.

    `is_ranked`: the order is not that of the ids, so only the number of a page leads to the next.
    """

    rows: Sequence[R]
    total: int
    is_capped: bool
    has_more: bool
    is_ranked: bool = False


def created_between(
    key: InstrumentedAttribute[UUID],
    at: InstrumentedAttribute[datetime],
    since: datetime | None,
    until: datetime | None,
) -> list[ColumnElement[bool]]:
    """Rows created at `since` or later and before `until`.

    `at`, the database's time, decides. The bounds on the key, whose time is the creator's, narrow
    the search to a range of its index.
    """
    conditions: list[ColumnElement[bool]] = []
    if since is not None:
        conditions += [at >= since, key >= first_id_at(_shift(since, -SKEW))]
    if until is not None:
        conditions += [at < until, key < first_id_at(_shift(until, SKEW))]
    return conditions


def _shift(at: datetime, by: timedelta) -> datetime:
    """The time plus `by`, or the time itself at the end of the calendar."""
    try:
        return at + by
    except OverflowError:
        return at


def matching(row: type[Row], filters: Filters) -> list[ColumnElement[bool]]:
    """The conditions of filters by column; None is no filter."""
    columns = {getattr(row, name): value for name, value in filters.items() if value is not None}
    # A partial index has the condition `IS true`.
    return [c.is_(v) if isinstance(v, bool) else c == v for c, v in columns.items()]


def owned_by(
    column: InstrumentedAttribute[UUID], user_id: UUID | None
) -> list[ColumnElement[bool]]:
    """The condition that rows belong to a user; None is no condition."""
    return [] if user_id is None else [column == user_id]


async def newest(
    session: AsyncSession,
    row: type[R],
    key: InstrumentedAttribute[UUID],
    branches: Sequence[ColumnElement[bool]],
    window: Window,
    *,
    listed: InstrumentedAttribute[UUID] | None = None,
) -> Page[R]:
    """The page of rows that satisfy one of `branches`, which must exclude each other.

    Each branch has a limit of its own, so each uses its own index; one OR would use none.
    `listed` is the key's column in another table, if the branches are conditions on that table.
    """
    listed = listed or key
    branches = [and_(branch, *window.bounds(listed)) for branch in branches]
    total = await _count(session, listed, branches)
    needed = window.offset + window.limit + 1
    found = union_all(
        *(
            select(listed.label("id"))
            .where(branch, *([listed < window.before] if window.before else []))
            .order_by(listed.desc())
            .limit(needed)
            for branch in branches
        )
    ).subquery()
    # Pages are built from ids alone: only the rows of this page are read.
    ids = (
        select(found.c.id).order_by(found.c.id.desc()).offset(window.offset).limit(window.limit + 1)
    )
    rows, has_more = await read_bounded(
        session, row, select(row).where(key.in_(ids)), [key], window.limit, newest_first=True
    )
    return Page(
        rows=rows,
        total=min(total, COUNTED),
        is_capped=total > COUNTED,
        has_more=has_more,
    )


async def read_bounded(
    session: AsyncSession,
    row: type[R],
    query: Select[R],
    order: Sequence[InstrumentedAttribute[Any]],
    limit: int,
    *,
    newest_first: bool = False,
) -> tuple[Sequence[R], bool]:
    """At most `limit` rows of a query in this order, and whether it has more.

    There are fewer if their texts would exceed `PAGE_BYTES`, but at least one. Postgres computes
    the sizes, so rows that are left out are not sent.
    """
    primary = list(row.__table__.primary_key)
    keys: dict[str, Any] = {column.key: column for column in primary}
    keys |= {column.key: column for column in order}
    sorted_by = _sort(order, newest_first=newest_first)
    listed = (
        query.with_only_columns(*keys.values(), _text_bytes(row).label("bytes"))
        .order_by(*sorted_by)
        .limit(limit + 1)
        .subquery()
    )
    ordered = _sort([listed.c[column.key] for column in order], newest_first=newest_first)
    sized = select(
        *(listed.c[column.key] for column in primary),
        (func.sum(listed.c.bytes).over(order_by=ordered) - listed.c.bytes).label("bytes_before"),
        func.row_number().over(order_by=ordered).label("n"),
        func.count().over().label("found"),
    ).subquery()
    found = await session.execute(
        select(row, sized.c.found)
        .join(sized, and_(*(column == sized.c[column.key] for column in primary)))
        .where(sized.c.bytes_before < PAGE_BYTES, sized.c.n <= limit)
        .order_by(sized.c.n)
    )
    rows = found.all()
    return [one[0] for one in rows], bool(rows) and rows[0].found > len(rows)


@cache
def _text_bytes(row: type[Row]) -> ColumnElement[int]:
    """The size of the texts of a row, as one piece of SQL: SQLAlchemy compares it quickly."""
    sizes = (
        f'coalesce(octet_length(CAST({row.__tablename__}."{column.name}" AS text)), 0)'
        for column in row.__table__.columns
        if _is_text(column)
    )
    return literal_column(" + ".join(("CAST(0 AS bigint)", *sizes)), BigInteger())


def _sort(columns: Sequence[Any], *, newest_first: bool) -> list[Any]:
    return [column.desc() for column in columns] if newest_first else list(columns)


def _is_text(column: ColumnElement[object]) -> bool:
    is_json = isinstance(column.type, JSON) and not isinstance(column.type, JSONB)
    return is_json or isinstance(column.type, String)


async def _count(
    session: AsyncSession,
    key: InstrumentedAttribute[UUID],
    branches: Sequence[ColumnElement[bool]],
) -> int:
    limited = [select(key).where(branch).limit(COUNTED + 1) for branch in branches]
    total = await session.scalar(select(func.count()).select_from(union_all(*limited).subquery()))
    return total or 0
