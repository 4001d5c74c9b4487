"""Memory entries and their versions. An entry that has expired counts as deleted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    delete,
    false,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import new_id
from domain.memory import MemoryType, searchable_text
from persistence.db.paging import Page, Window, newest
from persistence.sessions.timeline import TimelinePage, TimelineRange, read_by_seq
from persistence.tables.memory import MemoryEntryRow, MemoryVersionRow

MOST_RANKED = 2_000
"""Matches of a search that are ranked (chosen: ranking 2,000 takes about 10 ms). The rest of a
search for a word that more entries contain is not read."""

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

    @property
    def conditions(self) -> ColumnElement[bool]:
        """The conditions in SQL."""
        conditions = [MemoryEntryRow.user_id == self.user_id, IS_CURRENT]
        if self.namespace_prefix is not None:
            conditions.append(_covers(self.namespace_prefix))
        if self.within is not None:
            conditions.append(or_(false(), *map(_covers, self.within)))
        if self.memory_type is not None:
            conditions.append(MemoryEntryRow.memory_type == self.memory_type)
        return and_(*conditions)


def _covers(prefix: str) -> ColumnElement[bool]:
    """Namespaces that are this one or below it, as a range of the index (the collation is C)."""
    below = prefix.rstrip(":")
    namespace = MemoryEntryRow.namespace
    is_below = and_(namespace >= f"{below}:", namespace < f"{below};")
    return is_below if prefix.endswith(":") else or_(namespace == below, is_below)


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


def _is_at(user_id: UUID, namespace: str, key: str) -> ColumnElement[bool]:
    row = MemoryEntryRow
    return and_(row.user_id == user_id, row.namespace == namespace, row.key == key)


async def lock_or_create(
    session: AsyncSession, user_id: UUID, namespace: str, key: str
) -> tuple[MemoryEntryRow, bool]:
    """The locked entry, and whether it is current; a new one has version 0 and no value."""
    found = await _lock(session, user_id, namespace, key)
    if found is None:
        await _create(session, user_id, namespace, key)
        found = await _lock(session, user_id, namespace, key)
    if found is None:
        raise LookupError(f"entry {key} was not created")
    return found


async def _lock(
    session: AsyncSession, user_id: UUID, namespace: str, key: str
) -> tuple[MemoryEntryRow, bool] | None:
    statement = select(MemoryEntryRow, IS_CURRENT).where(_is_at(user_id, namespace, key))
    locked = statement.with_for_update().execution_options(populate_existing=True)
    row = (await session.execute(locked)).one_or_none()
    return None if row is None else (row[0], row[1])


async def _create(session: AsyncSession, user_id: UUID, namespace: str, key: str) -> None:
    """Create an entry without a version, unless another transaction does."""
    values = {
        "id": new_id(),
        "user_id": user_id,
        "namespace": namespace,
        "key": key,
        "version": 0,
        "memory_type": MemoryType.SEMANTIC,
        "value": None,
        "stored_bytes": 0,
        "search": "",
        "deleted_at": func.now(),
    }
    unique = ["user_id", "namespace", "key"]
    statement = insert(MemoryEntryRow).values(**values)
    await session.execute(statement.on_conflict_do_nothing(index_elements=unique))


async def add_version(
    session: AsyncSession,
    row: MemoryEntryRow,
    *,
    size_bytes: int,
    language: str,
    tool_use_id: str | None = None,
) -> None:
    """Write the changed values of a locked entry as its next version."""
    row.version += 1
    row.stored_bytes += size_bytes
    row.search = _vector(row, language)
    row.updated_at = func.clock_timestamp()
    session.add(
        MemoryVersionRow(
            entry_id=row.id,
            version=row.version,
            memory_type=row.memory_type,
            value=None if row.deleted_at else row.value,
            is_deletion=row.deleted_at is not None,
            created_by=row.created_by,
            execution_id=row.execution_id,
            tool_use_id=tool_use_id,
        )
    )
    await session.flush()
    await session.refresh(row, ["updated_at", "created_at"])


def _vector(row: MemoryEntryRow, language: str) -> ColumnElement[Any]:
    """What is searched: the key and its namespace, and the value in two dictionaries."""
    place = " ".join([row.namespace.replace(":", " "), row.key.replace("/", " ")])
    text = searchable_text(row.value)
    as_written = _weighted(SIMPLE, place, "A").op("||")(_weighted(SIMPLE, text, "B"))
    if language == SIMPLE:
        return as_written
    return as_written.op("||")(_weighted(language, text, "B"))


def _weighted(language: str, text: str, weight: str) -> ColumnElement[Any]:
    vector = func.to_tsvector(cast(language, REGCONFIG), text)
    return func.setweight(vector, literal_column(f"'{weight}'"))


async def search(
    session: AsyncSession, wanted: EntryFilter, words: str, *, language: str, limit: int
) -> Sequence[MemoryEntryRow]:
    """The entries that contain the words, best first (`websearch_to_tsquery`)."""
    query = cast(await _parse(session, words, language), TSQUERY)
    found = (
        select(MemoryEntryRow.id, MemoryEntryRow.search, query.label("query"))
        .where(wanted.conditions, MemoryEntryRow.search.op("@@")(query))
        .limit(MOST_RANKED)
        .subquery()
    )
    rank = func.ts_rank_cd(found.c.search, found.c.query)
    best = select(found.c.id, rank.label("rank")).order_by(rank.desc(), found.c.id.desc())
    ranked = best.limit(limit).subquery()
    statement = select(MemoryEntryRow).join(ranked, MemoryEntryRow.id == ranked.c.id)
    rows = await session.scalars(statement.order_by(ranked.c.rank.desc(), ranked.c.id.desc()))
    return rows.all()


async def _parse(session: AsyncSession, words: str, language: str) -> str:
    """The query as text: the words as they are written, or by their stems.

    Postgres plans the search for these words: a plan for any words would not use the right index.
    """
    parsed = (func.websearch_to_tsquery(cast(d, REGCONFIG), words) for d in (SIMPLE, language))
    planned = func.set_config("plan_cache_mode", "force_custom_plan", True)
    texts = (cast(query, Text) for query in parsed)
    _, *found = (await session.execute(select(planned, *texts))).one()
    return " | ".join(f"({query})" for query in dict.fromkeys(found) if query)


async def page(session: AsyncSession, wanted: EntryFilter, window: Window) -> Page[MemoryEntryRow]:
    """Entries without a search, newest first."""
    return await newest(session, MemoryEntryRow, MemoryEntryRow.id, [wanted.conditions], window)


async def find_version(
    session: AsyncSession, entry_id: UUID, version: int
) -> MemoryVersionRow | None:
    """One version of an entry."""
    return await session.get(MemoryVersionRow, (entry_id, version))


async def find_written(
    session: AsyncSession, entry_id: UUID, execution_id: UUID, tool_use_id: str
) -> MemoryVersionRow | None:
    """The version of an entry that this tool call wrote."""
    row = MemoryVersionRow
    written = select(row).where(
        row.entry_id == entry_id, row.execution_id == execution_id, row.tool_use_id == tool_use_id
    )
    return await session.scalar(written)


async def list_versions(
    session: AsyncSession, entry_id: UUID, span: TimelineRange
) -> TimelinePage[MemoryVersionRow]:
    """The versions of an entry, oldest first; the cursor is the version."""
    condition = MemoryVersionRow.entry_id == entry_id
    return await read_by_seq(session, MemoryVersionRow, condition, MemoryVersionRow.version, span)


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
