"""Memory entries and their versions. An entry that has expired counts as deleted."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    false,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import new_id
from domain.memory.entries import MemoryAction, MemoryType, searchable_text
from domain.text import clean
from persistence.db import sql
from persistence.db.database import to_json
from persistence.db.paging import Bind, Page, Window, newest
from persistence.db.raw_connection import Connected, fetch_rows
from persistence.ledger.audit import INSERT_BY_ACTOR, Actor
from persistence.sessions.timeline import TimelinePage, TimelineRange, read_by_seq
from persistence.tables.memory import MemoryEntryRow, MemoryVersionRow

_COLUMNS = {
    column.name: column.type
    for column in MemoryEntryRow.__table__.columns
    if column.name != "search"
}

_SQL = sql.load(
    "memory/entries.sql",
    columns=", ".join(_COLUMNS),
    is_current="(deleted_at IS NULL AND (expires_at IS NULL OR expires_at > now()))",
    insert_by_actor=INSERT_BY_ACTOR,
)

_READ, _LOCK, _WRITE, _EXTEND = (
    _SQL[name].columns(**_COLUMNS) for name in ("read", "lock", "write", "extend")
)

_AUDITED = {
    MemoryAction.CREATED: "memory_entry.create",
    MemoryAction.UPDATED: "memory_entry.update",
    MemoryAction.DELETED: "memory_entry.delete",
}
"""The actions of the audit log."""

MOST_RANKED = 1_000
"""Matches of a search that are ranked (chosen: 1,000 take about 3 ms). The rest of a search for a
word that more entries contain is not read."""

SIMPLE = "simple"
"""The dictionary that changes nothing but case; words are searched as they are written, too."""

IS_CURRENT = and_(
    MemoryEntryRow.deleted_at.is_(None),
    or_(MemoryEntryRow.expires_at.is_(None), MemoryEntryRow.expires_at > func.now()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries of one user to read.

    `within`: only in these namespaces and below them; None is everywhere.
    """

    user_id: UUID
    namespace_prefix: str | None = None
    memory_type: MemoryType | None = None
    within: Collection[str] | None = None

    def conditions(self, bind: Bind = literal) -> ColumnElement[bool]:
        """The conditions in SQL; `bind` is how they contain values."""
        conditions = [MemoryEntryRow.user_id == bind(self.user_id), IS_CURRENT]
        if self.namespace_prefix is not None:
            conditions.append(_covers(self.namespace_prefix, bind))
        if self.within is not None:
            conditions.append(or_(false(), *(_covers(prefix, bind) for prefix in self.within)))
        if self.memory_type is not None:
            conditions.append(MemoryEntryRow.memory_type == bind(self.memory_type))
        return and_(*conditions)


def _covers(prefix: str, bind: Bind) -> ColumnElement[bool]:
    """Namespaces that are this one or below it, as a range of the index (the collation is C)."""
    below = prefix.rstrip(":")
    namespace = MemoryEntryRow.namespace
    is_below = and_(namespace >= bind(f"{below}:"), namespace < bind(f"{below};"))
    return is_below if prefix.endswith(":") else or_(namespace == bind(below), is_below)


async def find(
    session: AsyncSession, user_id: UUID, namespace: str, key: str
) -> MemoryEntryRow | None:
    """The current version of an entry."""
    return await session.scalar(
        select(MemoryEntryRow).where(_is_at(user_id, namespace, key), IS_CURRENT)
    )


async def find_any(
    session: AsyncSession, user_id: UUID, namespace: str, key: str
) -> MemoryEntryRow | None:
    """An entry, even if it is deleted or has expired."""
    return await session.scalar(select(MemoryEntryRow).where(_is_at(user_id, namespace, key)))


def _is_at(user_id: Any, namespace: Any, key: Any) -> ColumnElement[bool]:
    row = MemoryEntryRow
    return and_(row.user_id == user_id, row.namespace == namespace, row.key == key)


@dataclass(frozen=True, slots=True)
class EntryState:
    """An entry as it is, and whether it is current: neither deleted nor expired."""

    row: MemoryEntryRow
    """It belongs to no session."""
    is_current: bool


async def read(
    on: Connected, user_id: UUID, namespace: str, key: str, *, is_locked: bool = False
) -> EntryState | None:
    """The entry, locked until the end of the transaction if that is wanted.

    None: it was never written, or is deleted completely.
    """
    parameters = {"user_id": user_id, "namespace": namespace, "key": key}
    statement = _LOCK if is_locked else _READ
    rows = await fetch_rows(on, statement, parameters)
    return EntryState(_make_row(rows[0]), rows[0].is_current) if rows else None


def _make_row(found: Any) -> MemoryEntryRow:
    return MemoryEntryRow(**{name: getattr(found, name) for name in _COLUMNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """The next version of an entry. With `deleted_at` it is a deletion, which keeps the value."""

    user_id: UUID
    namespace: str
    key: str
    memory_type: str
    value: Any
    created_by: str | None
    expires_at: datetime | None
    deleted_at: datetime | None = None
    execution_id: UUID | None = None
    tool_use_id: str | None = None


async def write(
    on: Connected,
    before: MemoryEntryRow | None,
    new: NewVersion,
    *,
    action: MemoryAction,
    actor: Actor,
    size_bytes: int,
    language: str,
) -> MemoryEntryRow | None:
    """Write the version after `before` (None: the first one) in one statement, with its audit row.

    Returns the entry as it is then, or None if another transaction has changed it since `before`.
    """
    place = " ".join([new.namespace.replace(":", " "), new.key.replace("/", " ")])
    words = clean(searchable_text(new.value))
    parameters = {
        **asdict(new),
        **actor.parameters(),
        "entry_id": new_id() if before is None else before.id,
        "version": 0 if before is None else before.version,
        "value": to_json(new.value),
        "created_by": None if new.created_by is None else clean(new.created_by),
        "action": action,
        "audited": _AUDITED[action],
        "size_bytes": size_bytes,
        "place": place,
        "words": words,
        "language": language,
        "stemmed": "" if language == SIMPLE else words,
    }
    rows = await fetch_rows(on, _WRITE, parameters)
    return _make_row(rows[0]) if rows else None


async def extend(
    on: Connected, current: MemoryEntryRow, expires_at: datetime | None
) -> MemoryEntryRow | None:
    """Have an entry expire at another time, without a new version.

    Returns the entry, or None if another transaction has changed it.
    """
    if expires_at == current.expires_at:
        return current
    parameters = {"id": current.id, "version": current.version, "expires_at": expires_at}
    rows = await fetch_rows(on, _EXTEND, parameters)
    return _make_row(rows[0]) if rows else None


async def search(
    session: AsyncSession, wanted: EntryFilter, words: str, *, language: str, window: Window
) -> Page[MemoryEntryRow]:
    """A page of the entries that contain the words, best first (`websearch_to_tsquery`)."""
    query = _parse(words, language)
    matches = (
        select(MemoryEntryRow.id, func.ts_rank(MemoryEntryRow.search, query).label("rank"))
        .where(
            wanted.conditions(_render_literal),
            *window.bounds(MemoryEntryRow.id, _render_literal),
            MemoryEntryRow.search.op("@@")(query),
        )
        .limit(_render_literal(MOST_RANKED))
        .subquery()
    )
    ranked = (
        select(matches, func.count().over().label("total"))
        .order_by(matches.c.rank.desc(), matches.c.id.desc())
        .limit(_render_literal(window.limit))
        .offset(_render_literal(window.offset))
        .subquery()
    )
    statement = select(MemoryEntryRow, ranked.c.total).join(
        ranked, MemoryEntryRow.id == ranked.c.id
    )
    ordered = statement.order_by(ranked.c.rank.desc(), ranked.c.id.desc())
    rows = (await session.execute(ordered)).all()
    if not rows and window.offset:  # after the last page, which has the total
        first = replace(window, limit=1, offset=0)
        found = await search(session, wanted, words, language=language, window=first)
        return replace(found, rows=(), has_more=False)
    total = rows[0].total if rows else 0
    return Page(
        [row.MemoryEntryRow for row in rows],
        total,
        is_capped=total == MOST_RANKED,
        has_more=window.offset + len(rows) < total,
        is_ranked=True,
    )


def _render_literal(value: Any) -> ColumnElement[Any]:
    """A value in the text of the statement, so that Postgres plans the statement for it.

    With parameters it would use one plan for all words and users after five calls, which reads the
    whole table to find a rare word.
    """
    return bindparam(None, value, literal_execute=True)


def _parse(words: str, language: str) -> ColumnElement[Any]:
    """The words as they are written, or by their stems; once if both are equal."""
    exact, stemmed = (
        func.websearch_to_tsquery(
            cast(_render_literal(dictionary), REGCONFIG), _render_literal(words)
        )
        for dictionary in (SIMPLE, language)
    )
    return case((exact == stemmed, exact), else_=exact.op("||")(stemmed))


async def page(session: AsyncSession, wanted: EntryFilter, window: Window) -> Page[MemoryEntryRow]:
    """Entries without a search, newest first."""
    return await newest(session, MemoryEntryRow, MemoryEntryRow.id, [wanted.conditions()], window)


async def find_version(
    session: AsyncSession, entry_id: UUID, version: int
) -> MemoryVersionRow | None:
    """One version of an entry."""
    return await session.get(MemoryVersionRow, (entry_id, version))


async def list_versions(
    session: AsyncSession, entry_id: UUID, span: TimelineRange
) -> TimelinePage[MemoryVersionRow]:
    """The versions of an entry, oldest first; the cursor is the version."""
    condition = MemoryVersionRow.entry_id == entry_id
    return await read_by_seq(session, MemoryVersionRow, condition, MemoryVersionRow.version, span)


async def list_below(
    session: AsyncSession, user_id: UUID, namespace: str, directory: str, *, limit: int
) -> Sequence[tuple[str, int]]:
    """The keys below a path (empty: all), in their order, with the bytes of their values as JSON.

    A key is below `a` if it begins with `a/`.
    """
    row = MemoryEntryRow
    size = func.octet_length(cast(row.value, Text))
    place = [row.user_id == user_id, row.namespace == namespace, IS_CURRENT]
    if directory:
        place += [row.key >= f"{directory}/", row.key < f"{directory}0"]  # 0 follows / in ASCII
    listed = select(row.key, size).where(*place).order_by(row.key).limit(limit)
    return [(key, size_bytes) for key, size_bytes in await session.execute(listed)]


async def is_free(session: AsyncSession, user_id: UUID, namespace: str, key: str) -> bool:
    """Whether a path is neither an entry nor has entries below it, nor is below an entry."""
    names = key.split("/")
    above = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
    row = MemoryEntryRow
    taken = or_(row.key.in_(above), and_(row.key >= f"{key}/", row.key < f"{key}0"))
    place = and_(row.user_id == user_id, row.namespace == namespace, IS_CURRENT, taken)
    return await session.scalar(select(row.id).where(place).limit(1)) is None


async def delete_completely(session: AsyncSession, row: MemoryEntryRow) -> None:
    """Delete a locked entry with all its versions."""
    await session.execute(delete(MemoryEntryRow).where(MemoryEntryRow.id == row.id))


async def delete_expired(session: AsyncSession, *, limit: int) -> int:
    """Mark expired entries as deleted; returns how many. Others' locks are skipped."""
    expired = (
        select(MemoryEntryRow.id)
        .where(MemoryEntryRow.deleted_at.is_(None), MemoryEntryRow.expires_at <= func.now())
        .order_by(MemoryEntryRow.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = update(MemoryEntryRow).where(MemoryEntryRow.id.in_(expired))
    marked = statement.values(deleted_at=MemoryEntryRow.expires_at).returning(MemoryEntryRow.id)
    return len((await session.scalars(marked)).all())
