"""The rows of stored files. They protect files from garbage collection.

A file is registered and committed before it is stored or found in the store, which protects it for
a day. The transaction that then refers to it holds its row (`hold`).
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import BlobMissingError
from persistence.db.database import Database

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


async def register(database: Database, sizes: Mapping[str, int]) -> None:
    """Protect these files, by their sha256 (hex) with their sizes, for a day from now.

    If garbage collection is deleting one of them, this waits until it is deleted. It is a
    transaction of its own, on a connection that no open transaction needs.
    """
    await database.raw.run(_REGISTER, {"hashes": list(sizes), "sizes": list(sizes.values())})


async def hold(session: AsyncSession, hashes: Iterable[str]) -> None:
    """Before references to these files are written: keep the files until the transaction ends.

    Raises:
        BlobMissingError: one was deleted, because it was registered long ago. Store it again.
    """
    wanted = set(hashes)
    found = set(await session.scalars(_HOLD, {"hashes": list(wanted)}))
    if missing := wanted - found:
        raise BlobMissingError(min(missing))
