"""Stored files: the only way to write and read them, which protects them from being deleted.

    stored = await blobs.add(b"...")                        # or `put`, `put_all`, `incoming`
    async with database.transaction() as session:
        await registry.hold(session, [stored.sha256])
        session.add(ArtifactRow(..., sha256=stored.sha256))

Garbage collection deletes a file that nothing refers to a day after it was last stored.
"""

import asyncio
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import structlog

from domain.errors import BlobStoreUnavailableError
from domain.files import patience
from domain.files.artifacts import NewArtifact
from domain.files.blobs import BlobStore, NewBlob, StoredBlob
from domain.tools.calls import SavedFile
from persistence.blobs import registry
from persistence.db.database import Database

STORED_AT_ONCE = 8
"""Files of one `put_all` (chosen: object storage takes some 50 ms for each)."""

RETRY_SECONDS = 1.0
"""Between attempts of a process that waits for its store (chosen)."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
NOT_WRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

log = structlog.get_logger(__name__)


class Incoming:
    """Bytes that arrive in parts, for a file whose sha256 is known at the end."""

    def __init__(self, blobs: "Blobs", path: Path, descriptor: int) -> None:
        """`Blobs.incoming` creates it."""
        self._blobs = blobs
        self._path = path
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    async def write(self, part: bytes) -> None:
        """Append a part.

        Raises:
            BlobStoreUnavailableError: the disk is full, or can't be written to.
        """
        self.size_bytes += len(part)
        with _reporting(self._path):
            await asyncio.to_thread(self._write, part)

    def _write(self, part: bytes) -> None:
        self._digest.update(part)
        rest = memoryview(part)
        while rest:  # the last bytes of a disk take only a part of it
            rest = rest[os.write(self._descriptor, rest) :]

    def identify(self) -> StoredBlob:
        """The file in the store that has what was written."""
        return StoredBlob(self._digest.hexdigest(), self.size_bytes)

    async def store(self) -> StoredBlob:
        """Store what was written.

        Raises:
            BlobStoreUnavailableError: as `Blobs.put`.
        """
        blob = self.identify()
        await self._blobs.put(NewBlob(self._path, blob.sha256, blob.size_bytes))
        return blob


class Blobs:
    """The stored files of a deployment."""

    def __init__(
        self, database: Database, store: BlobStore, *, patience_seconds: float = 0
    ) -> None:
        """All processes of a deployment use the same store.

        While the store is unavailable, a file is stored again and again for `patience_seconds`,
        or until the work that stores it is interrupted (`domain.files.patience`).
        """
        self._database = database
        self._patience_seconds = patience_seconds
        self.store = store

    async def put(self, new: NewBlob) -> None:
        """Move a file into the store; it is stored durably when this returns.

        Raises:
            BlobStoreUnavailableError: the store is full, or can't be written to.
        """
        await self.put_all([new])

    async def put_all(self, new: Sequence[NewBlob]) -> None:
        """Move files into the store, after one statement that registers all of them.

        Raises:
            BlobStoreUnavailableError: as `put`; some may be stored.
        """
        ends_at = time.monotonic() + self._patience_seconds
        left = list(new)
        while left:
            try:
                await registry.register(self._database, {b.sha256: b.size_bytes for b in left})
                await self._move(left)
            except BlobStoreUnavailableError:
                is_late = time.monotonic() + RETRY_SECONDS > ends_at
                if is_late or not await patience.pause(RETRY_SECONDS):
                    raise

    async def _move(self, left: list[NewBlob]) -> None:
        """Store files, and remove those that are stored from the list."""
        slots = asyncio.Semaphore(STORED_AT_ONCE)

        async def move(blob: NewBlob) -> None:
            async with slots:
                with _reporting(blob.path):
                    await self.store.put(blob.path, blob.sha256)
            left.remove(blob)

        # All have ended when this returns, so that no file is stored twice at a time.
        results = await asyncio.gather(*(move(blob) for blob in left), return_exceptions=True)
        if failed := [result for result in results if result is not None]:
            raise failed[0]

    async def add(self, content: bytes) -> StoredBlob:
        """Store these bytes.

        Raises:
            BlobStoreUnavailableError: as `put`.
        """
        with self.incoming() as incoming:
            await incoming.write(content)
            return await incoming.store()

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Receive bytes in parts; without `Incoming.store` they are discarded.

        Raises:
            BlobStoreUnavailableError: as `put`.
        """
        with _reporting():
            descriptor, name = tempfile.mkstemp(dir=self.store.incoming)
        path = Path(name)
        try:
            yield Incoming(self, path, descriptor)
        finally:
            with suppress(OSError):  # it was reported by the last write
                os.close(descriptor)
            with suppress(OSError):  # it was moved, or is deleted when it is a day old
                path.unlink()

    async def keep(self, file: SavedFile, *, kind: str, tool_call_id: UUID) -> NewArtifact:
        """Move a tool's file into the store; returns the artifact for the step that lists it.

        Raises:
            BlobStoreUnavailableError: as `put`; the file is deleted.
        """
        try:
            await self.put(NewBlob(file.path, file.sha256, file.size_bytes))
        finally:
            file.path.unlink(missing_ok=True)
        return NewArtifact.of(file, kind=kind, tool_call_id=tool_call_id)

    async def size(self, sha256: str) -> int | None:
        """How many bytes are stored; None if the file is not in the store.

        Raises:
            BlobStoreUnavailableError: the store can't be read.
        """
        with _reporting():
            return await self.store.size(sha256)

    def read(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `end`, in chunks of at most `CHUNK_BYTES`.

        Raises:
            BlobMissingError: the file is not in the store.
        """
        return self.store.read(sha256, start, end)

    async def read_bytes(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` to before `end`, for files whose size is limited.

        Raises:
            BlobMissingError: the file is not in the store.
        """
        return b"".join([chunk async for chunk in self.read(sha256, start, end)])


@contextmanager
def _reporting(path: Path | None = None) -> Iterator[None]:
    """Log an error of a disk, and report it as one of the store."""
    try:
        yield
    except OSError as error:
        log.warning("artifacts.unavailable", error=str(error), path=str(path or error.filename))
        raise BlobStoreUnavailableError(_explain(error)) from error


def _explain(error: OSError) -> str:
    if error.errno in FULL:
        problem, remedy = "The disk for artifacts is full.", "free space"
    elif error.errno in NOT_WRITABLE:
        problem, remedy = "The disk for artifacts is not writable.", "make it writable"
    else:
        reason = os.strerror(error.errno or 0)
        problem, remedy = f"The disk for artifacts is unavailable ({reason}).", "look at the log"
    return f"{problem} Ask the operator to {remedy}, then repeat the request."
