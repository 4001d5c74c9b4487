"""The content-addressed store of bytes: one file per sha256 below a directory."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from uuid import UUID

from domain.ids import new_id
from domain.steps import NewArtifact
from domain.tool_calls import SavedFile


class BlobStore:
    """Files by their sha256 (hex). A stored file never changes, so a repeated `put` is harmless."""

    def __init__(self, root: Path) -> None:
        """`root` is created at the first `put`."""
        self._root = root

    def path(self, sha256: str) -> Path:
        """The path of the bytes, whether they are stored or not."""
        return self._root / sha256[:2] / sha256

    async def keep(self, file: SavedFile, *, kind: str, tool_call_id: UUID) -> NewArtifact:
        """Move a tool's file into the store; returns the artifact for the step that lists it."""
        await self.put(file.path, file.sha256)
        return NewArtifact(
            id=new_id(),
            kind=kind,
            name=file.name,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            tool_call_id=tool_call_id,
        )

    async def add(self, content: bytes) -> str:
        """Store these bytes; returns their sha256 (hex).

        Raises:
            OSError: the directory can't be written to.
        """
        return await asyncio.to_thread(self._add, content)

    def _add(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened, path = tempfile.mkstemp(dir=self._root)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
        self._put(Path(path), sha256)
        return sha256

    async def put(self, file: Path, sha256: str) -> None:
        """Move the file into the store; it is on the disk when this returns."""
        await asyncio.to_thread(self._put, file, sha256)

    def _put(self, file: Path, sha256: str) -> None:
        target = self.path(sha256)
        if target.exists():
            file.unlink()
            return
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_name(f"{sha256}.{new_id()}.part")
        shutil.move(file, part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
        # A name is on the disk only after its directory is flushed, and that one's own directory.
        for directory in (target.parent, self._root):
            _flush(directory)


def _flush(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
