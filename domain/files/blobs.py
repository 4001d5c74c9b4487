"""The port of the store of files: content-addressed and immutable."""

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1024 * 1024
"""The most that a reader of the store holds at a time."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A file in the store; `sha256` is hex."""

    sha256: str
    size_bytes: int


def identify(content: bytes) -> StoredBlob:
    """The file in the store that has this content."""
    return StoredBlob(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True, slots=True)
class NewBlob:
    """A file to store; the store moves it. `sha256` (hex) is of exactly these bytes."""

    path: Path
    sha256: str
    size_bytes: int


class BlobStore(Protocol):
    """Files by their sha256 (64 hex digits): a directory, or object storage.

    Stored bytes never change, so a repeated `put` is harmless. `services.blobs.Blobs` is what
    other code uses: it protects what it stores from garbage collection.
    """

    @property
    def incoming(self) -> Path:
        """The directory of this machine in which files for `put` are created, if it exists."""

    async def put(self, file: Path, sha256: str) -> None:
        """Move a file into the store; it is stored durably when this returns.

        The caller has computed `sha256` of exactly these bytes. If they are stored already, the
        file is only deleted.

        Raises:
            OSError: the store can't be written to.
        """

    async def size(self, sha256: str) -> int | None:
        """How many bytes are stored; None if the file is not in the store."""

    def read(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `end`, in chunks of at most `CHUNK_BYTES`.

        `end` is at most the size; without it, object storage is asked for the size first.

        Raises:
            BlobMissingError: the file is not in the store.
        """

    async def delete(self, sha256: str) -> None:
        """Delete a file; harmless if it is not in the store. Only garbage collection calls this."""

    async def clean(self) -> None:
        """Delete what writers that were killed left behind more than a day ago."""

    def list(self) -> AsyncGenerator[StoredBlob]:
        """Every file of the store, in no particular order."""
