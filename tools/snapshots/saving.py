"""Saves and restores the workspaces of one host, and remembers the saved files."""

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from domain.errors import (
    BlobMissingError,
    ServiceUnavailableError,
    WorkspaceNotSavedError,
)
from domain.files.blobs import NewBlob, StoredBlob
from domain.workspaces.snapshots import SnapshotUnreadableError, WorkspaceIndex, WorkspaceSnapshot
from tools.deletion import delete_directory
from tools.snapshots.restoring import SnapshotStore, read_index, restore_files
from tools.snapshots.scanning import Scan, scan

_KNOWN_ENTRIES = 100_000
"""Workspaces that are remembered, and their entries; some 50 MB (chosen). The files of the other
workspaces are read again for their next snapshot."""

_DELAYS = (0.5, 1, 2, 4, 8, 15, 15)
"""Seconds before files are read again after an error (chosen: a file server that restarts is back
within a minute)."""

RESTORING = "restore-"
"""Begins the names of directories in which snapshots are restored before they are complete."""

Result = TypeVar("Result")


class Snapshots:
    """Saves changed workspaces in the store of files, and restores saved ones."""

    def __init__(self, store: SnapshotStore, private: Path, *, owner: int | None) -> None:
        """`private` is for temporary files. `owner` becomes the owner of restored files."""
        self._store = store
        self._private = private
        self._owner = owner
        self._known: OrderedDict[Path, tuple[str, Scan]] = OrderedDict()

    async def save(self, root: Path, recorded: str | None) -> WorkspaceSnapshot | None:
        """Store the changes since the snapshot `recorded`; None if nothing has.

        One call at a time for each workspace.

        Raises:
            WorkspaceNotSavedError: there are too many files, or the store can't be used.
        """
        if not await asyncio.to_thread(root.is_dir):
            return None
        try:
            return await self._save(root, recorded)
        except ServiceUnavailableError as error:
            raise WorkspaceNotSavedError(error.detail.removesuffix(".")) from error
        except OSError as error:
            raise WorkspaceNotSavedError(os.strerror(error.errno or 0)) from error

    async def _save(self, root: Path, recorded: str | None) -> WorkspaceSnapshot | None:
        before = await self._read_before(root, recorded)
        found, new = await asyncio.to_thread(scan, root, self._private, before)
        content = await asyncio.to_thread(found.index.encode)
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != recorded:
            index = NewBlob(self._private / f"index-{os.urandom(8).hex()}", sha256, len(content))
            await asyncio.to_thread(index.path.write_bytes, content)
            await self._put([*new, index])
        else:
            for blob in new:  # of files that only seemed to have changed
                blob.path.unlink()
        self._remember(root, sha256, found)
        if sha256 == recorded:
            return None
        return _describe(sha256, len(content), found.index)

    async def _read_before(self, root: Path, recorded: str | None) -> Scan:
        known = self._known.pop(root, None)
        if recorded is None:
            return Scan()
        if known is not None and known[0] == recorded:
            return known[1]
        try:
            return Scan(await _retry(lambda: read_index(self._store, recorded)))
        except (BlobMissingError, SnapshotUnreadableError):
            return Scan()  # everything is stored again

    def _remember(self, root: Path, sha256: str, found: Scan) -> None:
        self._known[root] = sha256, found
        size = sum(1 + len(scan.index.entries) for _, scan in self._known.values())
        while size > _KNOWN_ENTRIES and self._known:
            _, (_, oldest) = self._known.popitem(last=False)
            size -= 1 + len(oldest.index.entries)

    async def _put(self, new: Sequence[NewBlob]) -> None:
        try:
            await self._store.put_all(new)
        finally:
            for blob in new:
                blob.path.unlink(missing_ok=True)

    async def restore(self, sha256: str, target: Path) -> Sequence[str]:
        """Create `target` with the files of a snapshot, whole or not at all.

        Returns the paths that the snapshot does not contain, because they could not be read.

        Raises:
            SnapshotUnreadableError: the stored bytes are others than recorded.
            BlobMissingError: stored bytes are missing.
        """
        index = await _retry(lambda: self._restore(sha256, target))
        return index.left_out

    async def _restore(self, sha256: str, target: Path) -> WorkspaceIndex:
        # An earlier attempt, in another process with this home directory, may do the same.
        aside = self._private / f"{RESTORING}{target.name}-{os.urandom(8).hex()}"
        index = await read_index(self._store, sha256)
        try:
            await restore_files(self._store, index, aside, self._private, owner=self._owner)
            aside.rename(target)
        except OSError:
            await delete_directory(aside)
            if not await asyncio.to_thread(target.is_dir):
                raise
        return index


def _describe(sha256: str, size_bytes: int, index: WorkspaceIndex) -> WorkspaceSnapshot:
    blobs = [StoredBlob(sha256, size_bytes)]
    blobs += [StoredBlob(blob, size) for blob, size in index.blobs.items()]
    files = [entry for entry in index.entries.values() if entry.kind == "f"]
    return WorkspaceSnapshot(sha256, blobs, len(files), sum(f.stored_bytes for f in files))


async def _retry(use: Callable[[], Awaitable[Result]]) -> Result:
    """Read from the store, again after an error of the system."""
    for delay in _DELAYS:
        try:
            return await use()
        except OSError:
            await asyncio.sleep(delay)
    return await use()
