"""Restores the files of a snapshot into a new directory."""

import asyncio
import hashlib
import os
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from domain.files.blobs import NewBlob
from domain.workspaces.snapshots import SavedEntry, SnapshotUnreadableError, WorkspaceIndex

_AT_ONCE = 1024 * 1024

Files = Sequence[tuple[str, SavedEntry]]
"""Paths of files with their entries."""


class SnapshotStore(Protocol):
    """The store of files, as snapshots use it (`services.blobs.Blobs`)."""

    async def put_all(self, new: Sequence[NewBlob]) -> None:
        """Move files into the store; they are stored durably when this returns."""

    def read(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `end`, in chunks."""


async def read_index(store: SnapshotStore, sha256: str) -> WorkspaceIndex:
    """Read the index of a snapshot.

    Raises:
        SnapshotUnreadableError: its bytes are others than recorded.
        BlobMissingError: it is not in the store.
    """
    content = b"".join([chunk async for chunk in store.read(sha256)])
    return await asyncio.to_thread(WorkspaceIndex.decode, content, sha256)


async def restore_files(
    store: SnapshotStore, index: WorkspaceIndex, target: Path, private: Path, *, owner: int | None
) -> None:
    """Create the directory `target` with the files of a snapshot; `owner` becomes their owner.

    Only this process may use `target` meanwhile. `private` is on the same file system.

    Raises:
        SnapshotUnreadableError: a file has other bytes than recorded.
        BlobMissingError: the bytes of a file are not in the store.
        OSError: the files can't be written.
    """
    await asyncio.to_thread(_make_directories, index.entries, target)
    by_blob: defaultdict[str, list[tuple[str, SavedEntry]]] = defaultdict(list)
    for path, entry in index.entries.items():
        if entry.kind == "f":
            by_blob[entry.blob].append((path, entry))
    empty = by_blob.pop("", [])
    for blob, files in by_blob.items():
        start = min(entry.offset for _, entry in files)
        end = max(entry.offset + entry.stored_bytes for _, entry in files)
        pack = private / f"restored-{os.urandom(8).hex()}"
        try:
            await _download(store, blob, start, end, pack)
            await asyncio.to_thread(_unpack, pack, start, files, target)
        finally:
            pack.unlink(missing_ok=True)
    await asyncio.to_thread(_complete, index.entries, empty, target, owner)


async def _download(store: SnapshotStore, blob: str, start: int, end: int, target: Path) -> None:
    with target.open("xb", buffering=0) as file:
        async for chunk in store.read(blob, start, end):
            await asyncio.to_thread(file.write, chunk)


def _make_directories(entries: Mapping[str, SavedEntry], target: Path) -> None:
    target.mkdir(mode=0o700)
    for path, entry in entries.items():
        if entry.kind == "d":
            (target / path).mkdir(0o700)


def _unpack(pack: Path, start: int, files: Files, target: Path) -> None:
    with pack.open("rb", buffering=0) as packed:
        for path, entry in files:
            _unpack_file(packed.fileno(), entry.offset - start, target / path, entry)


def _unpack_file(packed: int, offset: int, path: Path, entry: SavedEntry) -> None:
    digest = hashlib.sha256()
    with path.open("xb", buffering=0) as file:
        os.ftruncate(file.fileno(), entry.size)
        for begin, end in entry.ranges if entry.ranges is not None else ((0, entry.size),):
            at = begin
            while at < end and (part := os.pread(packed, min(end - at, _AT_ONCE), offset)):
                os.pwrite(file.fileno(), part, at)
                digest.update(part)
                at += len(part)
                offset += len(part)
    if digest.hexdigest() != entry.sha256:
        raise SnapshotUnreadableError(
            f"The stored bytes of {path.name!r} are others than recorded."
        )


def _complete(
    entries: Mapping[str, SavedEntry], empty: Files, target: Path, owner: int | None
) -> None:
    """Create empty files and links, then set owners, times and modes, those of directories last."""
    for path, entry in empty:
        with (target / path).open("xb") as file:
            file.truncate(entry.size)
    for path, entry in reversed(list(entries.items())):  # below a directory before the directory
        found = target / path
        if entry.kind == "l":
            found.symlink_to(entry.target)
        if owner is not None:
            os.chown(found, owner, owner, follow_symlinks=False)
        if entry.kind == "f":
            os.utime(found, ns=(entry.mtime_ns, entry.mtime_ns))
        if entry.kind != "l":
            found.chmod(entry.mode)
    if owner is not None:
        os.chown(target, owner, owner)
