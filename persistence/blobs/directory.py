"""The store of files in a directory: one file per sha256."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path

from domain.errors import BlobMissingError
from domain.files.blobs import CHUNK_BYTES, StoredBlob
from domain.ids import new_id

_SHA256 = re.compile(r"[0-9a-f]{64}")

_LISTED_AT_ONCE = 1_000

LEFT_SECONDS = 24 * 3600
"""No writer needs so long for a file (chosen)."""


class DirectoryBlobs:
    """The port `domain.files.blobs.BlobStore` on a directory that gateways and workers share."""

    def __init__(self, root: Path) -> None:
        """`root` is created when the first file is stored."""
        self._root = root
        self._has_root = False

    @property
    def incoming(self) -> Path:
        """The directory itself, so that a file only has to be renamed.

        It is created once. If it is missing later, for example because its disk is not mounted any
        more, files must not be stored in another place with the same path.
        """
        if not self._has_root:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._has_root = True
        return self._root

    def path(self, sha256: str) -> Path:
        """The path of the bytes, whether they are stored or not."""
        return self._root / sha256[:2] / sha256

    async def put(self, file: Path, sha256: str) -> None:
        """Move a file into the store."""
        await asyncio.to_thread(self._put, file, sha256)

    def _put(self, file: Path, sha256: str) -> None:
        target = self.path(sha256)
        if target.exists():
            file.unlink(missing_ok=True)
            return
        part = self.incoming / f"{sha256}.{new_id()}.part"
        target.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            shutil.move(file, part)
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(target)
        except OSError:
            # The caller may try again.
            if file.exists():
                part.unlink(missing_ok=True)  # what was copied from another disk, until it was full
            else:
                shutil.move(part, file)
            raise
        # A name is on the disk only after its directory is flushed, and that one's own directory.
        for directory in (target.parent, self._root):
            _flush(directory)

    async def size(self, sha256: str) -> int | None:
        """How many bytes are stored; None if the file is not in the store."""
        try:
            return (await asyncio.to_thread(self.path(sha256).stat)).st_size
        except FileNotFoundError:
            return None

    async def read(
        self, sha256: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `end`, in chunks."""
        try:
            file = await asyncio.to_thread(self.path(sha256).open, "rb", buffering=0)
        except FileNotFoundError as error:
            raise BlobMissingError(sha256) from error
        try:
            while end is None or start < end:
                size = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - start)
                chunk = await asyncio.to_thread(os.pread, file.fileno(), size, start)
                if not chunk:
                    return
                start += len(chunk)
                yield chunk
        finally:
            file.close()

    async def delete(self, sha256: str) -> None:
        """Delete a file; harmless if it is not in the store."""
        await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)

    async def clean(self) -> None:
        """Delete what writers that were killed left behind more than a day ago."""
        await asyncio.to_thread(self._clean)

    def _clean(self) -> None:
        if not self._root.exists():
            return
        for entry in os.scandir(self._root):
            with suppress(FileNotFoundError):  # its writer has just ended
                age = time.time() - entry.stat(follow_symlinks=False).st_ctime
                if age > LEFT_SECONDS and entry.is_file(follow_symlinks=False):
                    Path(entry).unlink()

    async def list(self) -> AsyncGenerator[StoredBlob]:
        """Every file of the store."""
        found = self._walk()
        while some := await asyncio.to_thread(_take, found):
            for blob in some:
                yield blob

    def _walk(self) -> Iterator[StoredBlob]:
        for directory in self._root.glob("[0-9a-f][0-9a-f]"):
            for entry in os.scandir(directory):
                if _SHA256.fullmatch(entry.name):
                    yield StoredBlob(entry.name, entry.stat().st_size)


def _take(found: Iterator[StoredBlob]) -> list[StoredBlob]:
    return [blob for blob, _ in zip(found, range(_LISTED_AT_ONCE), strict=False)]


def _flush(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
