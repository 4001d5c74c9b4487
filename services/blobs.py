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
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from domain.errors import FilesElsewhereError
from domain.executions.steps import NewArtifact
from domain.files.blobs import BlobStore, NewBlob, StoredBlob
from domain.ids import new_id
from domain.tools.calls import SavedFile
from persistence.blobs import registry
from persistence.db.database import Database

STORED_AT_ONCE = 8
"""Files of one `put_all` (chosen: object storage takes some 50 ms for each)."""


class Incoming:
    """Bytes that arrive in parts, for a file whose sha256 is known at the end."""

    def __init__(self, blobs: "Blobs", path: Path, file: BinaryIO) -> None:
        """`Blobs.incoming` creates it."""
        self._blobs = blobs
        self._path = path
        self._file = file
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    async def write(self, part: bytes) -> None:
        """Append a part."""
        self.size_bytes += len(part)
        await asyncio.to_thread(self._write, part)

    def _write(self, part: bytes) -> None:
        self._digest.update(part)
        self._file.write(part)

    async def store(self) -> StoredBlob:
        """Store what was written."""
        self._file.close()
        sha256 = self._digest.hexdigest()
        await self._blobs.put(NewBlob(self._path, sha256, self.size_bytes))
        return StoredBlob(sha256, self.size_bytes)


class Blobs:
    """The stored files of a deployment."""

    def __init__(self, database: Database, store: BlobStore) -> None:
        """All processes of a deployment use the same store."""
        self._database = database
        self.store = store

    async def put(self, new: NewBlob) -> None:
        """Move a file into the store; it is stored durably when this returns.

        Raises:
            FilesElsewhereError: this process can't write to the store.
        """
        await self.put_all([new])

    async def put_all(self, new: Sequence[NewBlob]) -> None:
        """Move files into the store, after one statement that registers all of them.

        Raises:
            FilesElsewhereError: this process can't write to the store.
        """
        await registry.register(self._database, {blob.sha256: blob.size_bytes for blob in new})
        slots = asyncio.Semaphore(STORED_AT_ONCE)

        async def put(blob: NewBlob) -> None:
            async with slots:
                await self.store.put(blob.path, blob.sha256)

        with _writing():
            await asyncio.gather(*(put(blob) for blob in new))

    async def add(self, content: bytes) -> StoredBlob:
        """Store these bytes.

        Raises:
            FilesElsewhereError: this process can't write to the store.
        """
        with self.incoming() as incoming:
            await incoming.write(content)
            return await incoming.store()

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Receive bytes in parts; without `Incoming.store` they are discarded.

        Raises:
            FilesElsewhereError: this process can't write to the store.
        """
        with _writing():
            opened, name = tempfile.mkstemp(dir=self.store.incoming)
        path = Path(name)
        try:
            with os.fdopen(opened, "wb") as file:
                yield Incoming(self, path, file)
        finally:
            path.unlink(missing_ok=True)

    async def keep(self, file: SavedFile, *, kind: str, tool_call_id: UUID) -> NewArtifact:
        """Move a tool's file into the store; returns the artifact for the step that lists it."""
        await self.put(NewBlob(file.path, file.sha256, file.size_bytes))
        return NewArtifact(
            id=new_id(),
            kind=kind,
            name=file.name,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            tool_call_id=tool_call_id,
        )

    async def size(self, sha256: str) -> int | None:
        """How many bytes are stored; None if the file is not in the store."""
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
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise
        raise FilesElsewhereError(
            "This process cannot write to the store of artifacts. Send the file to another "
            "gateway, or make $PERDURE_HOME/artifacts writable."
        ) from error
