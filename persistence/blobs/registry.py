"""The rows of stored files. They protect files from garbage collection.

A file is registered and committed before it is stored or found in the store, which protects it for
a day. The transaction that then refers to it holds its row: by `hold`, or by a foreign key.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from asyncpg import PostgresError
from sqlalchemy import ColumnElement, and_, delete, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import KeyedColumnElement

from domain.errors import BlobMissingError, BlobStoreUnavailableError
from domain.files.blobs import StoredBlob
from persistence.db.database import Database
from persistence.db.outages import is_refused
from persistence.tables.columns import Row
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow, BlobRow

# In the order of their hashes, so that two writers of the same files never wait for each other.
_REGISTER = text("""
INSERT INTO blobs (sha256, size_bytes)
SELECT sha256, size_bytes
FROM ROWS FROM (
    unnest(CAST(:hashes AS text[])), unnest(CAST(:sizes AS bigint[]))
) AS new (sha256, size_bytes)
ORDER BY sha256
ON CONFLICT (sha256) DO UPDATE SET used_at = now()
""")

_HOLD = text("""
SELECT sha256 FROM blobs WHERE sha256 = ANY(CAST(:hashes AS text[])) ORDER BY sha256 FOR KEY SHARE
""")


_REFUSED = (
    "The database can't write, for example because its disk is full. Ask the operator to free "
    "space, then repeat the request."
)


async def register(database: Database, sizes: Mapping[str, int]) -> None:
    """Protect these files, by their sha256 (hex) with their sizes, for a day from now.

    If garbage collection is deleting one of them, this waits until it is deleted. It is a
    transaction of its own, on a connection that no open transaction needs.

    Raises:
        BlobStoreUnavailableError: Postgres refuses writes.
    """
    try:
        await database.raw.run(_REGISTER, {"hashes": list(sizes), "sizes": list(sizes.values())})
    except PostgresError as error:
        if not is_refused(error):
            raise
        raise BlobStoreUnavailableError(_REFUSED) from error


async def hold(session: AsyncSession, hashes: Iterable[str]) -> None:
    """Before references to these files are written: keep the files until the transaction ends.

    Raises:
        BlobMissingError: one was deleted, because it was registered long ago. Store it again.
    """
    wanted = set(hashes)
    found = set(await session.scalars(_HOLD, {"hashes": list(wanted)}))
    if missing := wanted - found:
        raise BlobMissingError(min(missing))


@dataclass(frozen=True, slots=True)
class Examined:
    """A range of the registered files; `after` is the last one, None at the end."""

    unreferenced: Sequence[StoredBlob]
    after: str | None


def referencing_columns() -> Sequence[KeyedColumnElement[Any]]:
    """The columns that refer to stored files: foreign keys, and that of artifacts.

    Artifacts have no foreign key, because processes of earlier versions register no files.
    """
    keys = [
        key.parent
        for table in Row.metadata.tables.values()
        for key in table.foreign_keys
        if key.target_fullname == "blobs.sha256"
    ]
    return [ArtifactRow.__table__.c.sha256, *keys]


def _is_unreferenced() -> ColumnElement[bool]:
    return and_(
        *(
            ~exists(select(1).where(column == BlobRow.sha256).correlate(BlobRow))
            for column in referencing_columns()
        )
    )


async def examine(
    session: AsyncSession, after: str, *, unused_for: timedelta, limit: int
) -> Examined:
    """Find what nothing refers to among the next files; `after` is the last one before them."""
    is_garbage = and_(BlobRow.used_at < func.now() - unused_for, _is_unreferenced())
    statement = (
        select(BlobRow.sha256, BlobRow.size_bytes, is_garbage.label("is_garbage"))
        .where(BlobRow.sha256 > after)
        .order_by(BlobRow.sha256)
        .limit(limit)
    )
    rows = (await session.execute(statement)).all()
    return Examined(
        [StoredBlob(row.sha256, row.size_bytes) for row in rows if row.is_garbage],
        rows[-1].sha256 if len(rows) == limit else None,
    )


async def remove_unreferenced(
    session: AsyncSession, hashes: Sequence[str], *, unused_for: timedelta
) -> Sequence[str]:
    """Delete the rows of those files that nothing refers to; returns which these are.

    Until the transaction ends, no other can register or refer to them: delete the files before.
    """
    lock = (
        select(BlobRow.sha256)
        .where(BlobRow.sha256.in_(hashes), BlobRow.used_at < func.now() - unused_for)
        .order_by(BlobRow.sha256)
        .with_for_update(skip_locked=True)
    )
    locked = (await session.scalars(lock)).all()
    # A statement of its own: it sees the references that were committed before the lock.
    remove = delete(BlobRow).where(BlobRow.sha256.in_(locked), _is_unreferenced())
    return (await session.scalars(remove.returning(BlobRow.sha256))).all()


async def list_referenced(session: AsyncSession, after: str, *, limit: int) -> Sequence[StoredBlob]:
    """The next files to which something refers; `after` is the last one before them."""
    statement = (
        select(BlobRow.sha256, BlobRow.size_bytes)
        .where(BlobRow.sha256 > after, ~_is_unreferenced())
        .order_by(BlobRow.sha256)
        .limit(limit)
    )
    return [StoredBlob(*row) for row in await session.execute(statement)]


async def is_referenced(session: AsyncSession, sha256: str) -> bool:
    """Whether something refers to a file now."""
    statement = select(BlobRow.sha256).where(BlobRow.sha256 == sha256, ~_is_unreferenced())
    return await session.scalar(statement) is not None


async def list_artifacts(
    session: AsyncSession, sha256: str, *, limit: int
) -> Sequence[ArtifactRow]:
    """The artifacts with this content, oldest first."""
    statement = select(ArtifactRow).where(ArtifactRow.sha256 == sha256)
    return (await session.scalars(statement.order_by(ArtifactRow.id).limit(limit))).all()


async def list_executions(session: AsyncSession, sha256: str, *, limit: int) -> Sequence[UUID]:
    """The executions whose artifacts or whose session's files have this content."""
    found: set[UUID] = set()
    for column in referencing_columns():
        rows = column.table.c
        belongs = (
            rows.execution_id == ExecutionRow.id
            if "execution_id" in rows
            else rows.session_id == ExecutionRow.session_id
        )
        statement = select(ExecutionRow.id).join(column.table, belongs).where(column == sha256)
        found.update(await session.scalars(statement.order_by(ExecutionRow.id).limit(limit)))
    return sorted(found)[:limit]
