"""How much each user stores, and the limit for it."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import QuotaExceededError
from domain.files.blobs import StoredBlob
from persistence.db.database import Database
from persistence.ledger import storage
from persistence.ledger.storage import StoredBytes
from persistence.sessions import workspaces
from services.quotas import Quotas
from services.stored_files import UNUSED_FOR

REMEMBERED_SECONDS = 10.0
"""A sum is used this long. A process adds what it stores itself, so a user can exceed the limit
only by what other processes store meanwhile (chosen)."""

REMEMBERED_USERS = 10_000
RETRY_SECONDS = 60
"""When to retry: space is free about that long after a session was deleted."""

BATCH = 20
"""Workspaces that one sweep deletes (chosen: a large one takes a second)."""

RECENT_SNAPSHOTS = 1000
"""Snapshots that one sweep looks at: what workers write between two sweeps (chosen)."""

OBSOLETE_BATCH = 1000
"""Workspaces that one query compares."""

MIB = 1024 * 1024


class StorageGuard:
    """Compares what users store with their limits, for one process."""

    def __init__(self, database: Database, defaults: Quotas) -> None:
        """`defaults` are for users to whom no admin gave quotas of their own."""
        self._defaults = defaults
        self._database = database
        self._known: dict[UUID, tuple[StoredBytes, float]] = {}
        self._refused: dict[UUID, dict[StoredBlob, float]] = {}
        """Files of refused uploads, and when they are deleted."""

    async def read_stored(self, session: AsyncSession, user_id: UUID) -> StoredBytes:
        """What the user stores; some seconds old."""
        known, until = self._known.get(user_id, (None, 0.0))
        if known is None or until < time.monotonic():
            if len(self._known) >= REMEMBERED_USERS:
                self._known.clear()
            known = await storage.load_stored(session, user_id)
            size_bytes = known.artifact_bytes + await self._sum_refused(session, user_id)
            known = replace(known, artifact_bytes=size_bytes)
            self._known[user_id] = known, time.monotonic() + REMEMBERED_SECONDS
        return known

    async def check(
        self, session: AsyncSession, user_id: UUID, *, adding: int = 0, memory_entries: int = 0
    ) -> None:
        """Check that the user may store so many bytes and memory entries more, and count them.

        Raises:
            QuotaExceededError: with what to do.
        """
        stored = await self.read_stored(session, user_id)
        limit = self._limit_bytes(stored)
        if limit is not None and stored.stored_bytes + adding >= limit:
            raise QuotaExceededError(
                f"You store {stored.stored_bytes / MIB:,.1f} MiB and may store "
                f"{limit / MIB:,.1f} MiB{f'; this needs {adding / MIB:,.1f} MiB' if adding else ''}"
                ". Delete sessions that you no longer need, which deletes their files, or ask an "
                "admin for more.",
                RETRY_SECONDS,
            )
        most = self._most_entries(stored)
        if most is not None and memory_entries and stored.memory_entries >= most:
            raise QuotaExceededError(
                f"You have {stored.memory_entries:,} memory entries and may have {most:,}. Purge "
                "entries that you no longer need (deleted ones count until they are purged), or "
                "ask an admin for more.",
                RETRY_SECONDS,
                limit=most,
            )
        if adding:
            until = self._known[user_id][1]
            stored = replace(
                stored,
                artifact_bytes=stored.artifact_bytes + adding,
                memory_entries=stored.memory_entries + memory_entries,
            )
            self._known[user_id] = stored, until

    async def check_file(self, session: AsyncSession, user_id: UUID, file: StoredBlob) -> None:
        """As `check`, for a file. That of a refused upload counts already."""
        await self.read_stored(session, user_id)
        if file in self.list_refused(user_id):
            await self.check(session, user_id)
            self.forget(user_id)  # the next sum contains the artifact instead
        else:
            await self.check(session, user_id, adding=file.size_bytes)

    async def room(self, user_id: UUID) -> int | None:
        """How many bytes more `check` accepts; None if there is no limit."""
        async with self._database.reading() as session:
            stored = await self.read_stored(session, user_id)
        limit = self._limit_bytes(stored)
        return None if limit is None else limit - stored.stored_bytes - 1

    def _limit_bytes(self, stored: StoredBytes) -> int | None:
        """The user's own limit, or the operator's."""
        own = stored.own_limit_bytes
        return self._defaults.max_stored_bytes if own is None else own

    def _most_entries(self, stored: StoredBytes) -> int | None:
        """The user's own limit of memory entries, or the operator's."""
        own = stored.own_max_entries
        return self._defaults.max_memory_entries if own is None else own

    def add_refused(self, user_id: UUID, file: StoredBlob) -> None:
        """Count a file that is stored until garbage collection, although its upload was refused.

        A file counts once, however often its upload is repeated.
        """
        ends_at = time.monotonic() + UNUSED_FOR.total_seconds()
        self._refused.setdefault(user_id, {})[file] = ends_at
        self.forget(user_id)

    def list_refused(self, user_id: UUID) -> Collection[StoredBlob]:
        """The files of refused uploads that count."""
        return self._refused.get(user_id, {}).keys()

    async def _sum_refused(self, session: AsyncSession, user_id: UUID) -> int:
        """Sum the files of refused uploads, without those that are artifacts of the user now."""
        hashes = [file.sha256 for file in self.list_refused(user_id)]
        if not hashes:
            return 0
        created = await storage.list_created(session, user_id, hashes)
        now = time.monotonic()
        left = {
            file: ends_at
            for file, ends_at in self._refused.pop(user_id, {}).items()
            if ends_at > now and file.sha256 not in created
        }
        if left:
            self._refused[user_id] = left
        return sum(file.size_bytes for file in left)

    def forget(self, user_id: UUID) -> None:
        """Sum again what this user stores."""
        self._known.pop(user_id, None)


async def record_workspace(
    database: Database, session_id: UUID, size_bytes: int, *, epoch: int
) -> None:
    """Record the size of a session's workspace, unless it has moved to another host since."""
    async with database.transaction() as session:
        await storage.set_workspace_bytes(session, session_id, size_bytes, epoch=epoch)


Remove = Callable[[Mapping[UUID, int | None]], Awaitable[None]]
"""Deletes directories of sessions on this host: those of earlier epochs, or all of them (None)."""


async def delete_workspaces(database: Database, host_id: UUID, remove: Remove) -> int:
    """Delete the workspaces of deleted sessions on this host.

    A session counts until its files are gone.
    """
    async with database.reading() as session:
        found = await storage.list_deleted_workspaces(session, host_id, limit=BATCH)
    if found:
        await remove(dict.fromkeys(found))
        async with database.transaction() as session:
            await storage.set_deleted(session, found)
    return len(found)


async def delete_earlier_snapshots(database: Database, kept_bytes: int) -> None:
    """Delete snapshots of sessions that store more than that, half of them at a time."""
    async with database.reading() as session:
        found = await workspaces.list_large(session, kept_bytes=kept_bytes, recent=RECENT_SNAPSHOTS)
    for session_id in found:
        async with database.transaction() as session:
            await workspaces.delete_older_half(session, session_id)


async def delete_obsolete_workspaces(
    database: Database, list_sessions: Callable[[], Awaitable[Sequence[UUID]]], remove: Remove
) -> None:
    """Delete the directories of deleted sessions, and of workspaces that have moved since."""
    found = await list_sessions()
    epochs: dict[UUID, int | None] = {}
    for start in range(0, len(found), OBSOLETE_BATCH):
        async with database.reading() as session:
            epochs |= await workspaces.find_epochs(session, found[start : start + OBSOLETE_BATCH])
    if epochs:
        await remove(epochs)
