"""Care for stored files: delete what nothing refers to, and check what is stored."""

import asyncio
import errno
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import structlog

from domain.errors import BlobMissingError
from domain.files.blobs import BlobStore, StoredBlob
from persistence.blobs import registry
from persistence.db.database import Database
from persistence.tables.sessions import ArtifactRow
from services.blobs import Blobs

UNUSED_FOR = timedelta(days=1)
"""A file is kept this long after it was last stored. A writer refers to it within seconds, or
within minutes if its worker was stopped meanwhile (chosen)."""

EXAMINED = 5_000
"""Rows of one sweep: 30 ms in the database (chosen)."""

DELETED_AT_ONCE = 50
"""Files of one transaction, which locks their rows while they are deleted (chosen)."""

CHECK_SECONDS = 5.0
"""A request reads files for this long, and at least one (chosen)."""

SHOWN = 20
"""Artifacts and executions that are named for a damaged file (chosen)."""

log = structlog.get_logger(__name__)


class Damage(StrEnum):
    """What is wrong with a stored file."""

    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file whose content is not what was stored, with the first ones that it affects."""

    blob: StoredBlob
    damage: Damage
    artifacts: Sequence[ArtifactRow]
    execution_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """The files that were read. `next_after` continues the check; None at the end."""

    files: int
    size_bytes: int
    damaged: Sequence[DamagedFile]
    next_after: str | None


class GarbageCollector:
    """Deletes stored files that nothing refers to.

    Any number of workers may run it: each goes through the files from a random one.
    """

    def __init__(
        self, database: Database, store: BlobStore, *, unused_for: timedelta = UNUSED_FOR
    ) -> None:
        """`unused_for`: how long a file is kept after it was last stored."""
        self._database = database
        self._store = store
        self._unused_for = unused_for
        self._after = secrets.token_hex(32)

    async def sweep(self) -> int:
        """Examine the next files; returns how many were deleted."""
        async with self._database.reading() as session:
            examined = await registry.examine(
                session, self._after, unused_for=self._unused_for, limit=EXAMINED
            )
        found = [blob.sha256 for blob in examined.unreferenced]
        deleted = 0
        for position in range(0, len(found), DELETED_AT_ONCE):
            deleted += await self._delete(found[position : position + DELETED_AT_ONCE])
        if examined.after is None:
            await self._store.clean()
        self._after = examined.after or ""
        if deleted:
            log.info("artifacts.unreferenced_deleted", files=deleted)
        return deleted

    async def _delete(self, hashes: Sequence[str]) -> int:
        async with self._database.transaction() as session:
            removed = await registry.remove_unreferenced(
                session, hashes, unused_for=self._unused_for
            )
            # Before the commit: who stores one of them again waits, and then finds it missing.
            await asyncio.gather(*(self._store.delete(sha256) for sha256 in removed))
        return len(removed)


async def check_store(database: Database, blobs: Blobs, after: str) -> StoreCheck:
    """Read files to which something refers, and compare them with their sha256.

    `after` is the last file before them, or empty.
    """
    ends_at = time.monotonic() + CHECK_SECONDS
    files, size = 0, 0
    damaged: list[DamagedFile] = []
    async for blob in _list_referenced(database, after):
        files, size = files + 1, size + blob.size_bytes
        if damage := await _find_damage(blobs, blob):
            damaged += await _describe(database, blob, damage)
        if time.monotonic() > ends_at:
            return StoreCheck(files, size, damaged, blob.sha256)
    return StoreCheck(files, size, damaged, None)


async def _list_referenced(database: Database, after: str) -> AsyncIterator[StoredBlob]:
    while True:
        async with database.reading() as session:
            found = await registry.list_referenced(session, after, limit=100)
        for blob in found:
            yield blob
        if not found:
            return
        after = found[-1].sha256


async def _find_damage(blobs: Blobs, blob: StoredBlob) -> Damage | None:
    digest = hashlib.sha256()
    try:
        async with aclosing(blobs.read(blob.sha256)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(digest.update, chunk)
    except BlobMissingError:
        return Damage.MISSING
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return Damage.CHANGED  # the disk can't read it
    return None if digest.hexdigest() == blob.sha256 else Damage.CHANGED


async def _describe(database: Database, blob: StoredBlob, damage: Damage) -> Sequence[DamagedFile]:
    """What is affected; nothing if the file was deleted meanwhile because nothing refers to it."""
    async with database.reading() as session:
        if not await registry.is_referenced(session, blob.sha256):
            return ()
        artifacts = await registry.list_artifacts(session, blob.sha256, limit=SHOWN)
        executions = await registry.list_executions(session, blob.sha256, limit=SHOWN)
    return (DamagedFile(blob, damage, artifacts, executions),)
