"""Finds the changed files of a workspace and collects their bytes. Blocking: call it in a thread.

Commands may change the workspace at the same time: nothing outside of it is read, and a file that
changes while it is read is read again for the next snapshot.
"""

import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import WorkspaceNotSavedError
from domain.files.blobs import NewBlob
from domain.workspaces.snapshots import SavedEntry, WorkspaceIndex
from domain.workspaces.sparse_files import data_ranges, is_sparse
from tools.snapshots.packs import LARGE_BYTES, Packed, PackWriter

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PERMISSIONS = 0o777
"""The saved bits of a mode: setuid is dropped."""

DEEPEST = 100
"""Levels of directories that are saved; each keeps a file open (as in archives)."""

LONGEST_PATH = 3000
"""Bytes of a path that is saved. A restored one has to fit below the directory of workspaces: the
limit of Linux is 4,096."""

MAX_ENTRIES = 200_000
"""Files, directories and links of a workspace that are saved (chosen: a scan takes 2 seconds)."""

_MOST_LEFT_OUT = 100
"""Paths that are listed (chosen)."""

_SETTLED_NS = 100_000_000
"""A file whose last change is more recent than this is read again for the next snapshot: a change
in the same tick of the kernel's clock (up to 10 ms) would have the same time."""

_MOST_PACKS = 32
"""Packs of a snapshot, above which the smaller half is written again as one (chosen)."""

Signature = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change of content and of status."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of a workspace at one time.

    A file has a signature if its content can't have changed while its signature is the same.
    """

    index: WorkspaceIndex = field(default_factory=WorkspaceIndex)
    signatures: Mapping[str, Signature] = field(default_factory=dict)


def scan(root: Path, private: Path, before: Scan) -> tuple[Scan, Sequence[NewBlob]]:
    """Read the changes since `before`; returns the files, and what must be stored for them.

    The caller owns the files to store, which are in `private`.

    Raises:
        FileNotFoundError: there is no such directory.
        WorkspaceNotSavedError: it has more than `MAX_ENTRIES`.
    """
    started_ns = time.time_ns()
    with _open(str(root)) as directory:
        found = _FileWalk()
        found.walk(directory, "", DEEPEST)
        stored, known = _select_stored(found, before)
        packs = PackWriter(private, known)
        try:
            reader = _ChangedFiles(directory, packs, started_ns, found)
            entries = reader.read(stored, before.signatures)
            new = packs.close()
        except BaseException:
            packs.discard()
            raise
    names = {name: blob.sha256 for name, blob in new.items()}
    sizes = {**before.index.blobs, **{blob.sha256: blob.size_bytes for blob in new.values()}}
    entries = {
        path: entry._replace(blob=names.get(entry.blob, entry.blob))
        for path, entry in sorted(entries.items())
    }
    used = sorted({entry.blob for entry in entries.values() if entry.blob})
    index = WorkspaceIndex(entries, {blob: sizes[blob] for blob in used}, sorted(found.left_out))
    return Scan(index, reader.signatures), list(new.values())


class _FileWalk:
    """The entries of a workspace as the file system lists them."""

    def __init__(self) -> None:
        self.entries: dict[str, SavedEntry] = {}
        self.signatures: dict[str, Signature] = {}
        self.left_out: list[str] = []

    def walk(self, directory: int, base: str, levels: int) -> None:
        """Add the entries of an open directory, and those below it."""
        with os.scandir(directory) as listed:
            for entry in listed:
                path = f"{base}{entry.name}"
                try:
                    self._add(entry, directory, path, levels)
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                        self.leave_out(path)

    def _add(self, entry: "os.DirEntry[str]", directory: int, path: str, levels: int) -> None:
        if len(self.entries) >= MAX_ENTRIES:
            raise WorkspaceNotSavedError(
                f"it has more than {MAX_ENTRIES:,} files and directories. Delete some, or keep "
                "them in an archive"
            )
        if len(os.fsencode(path)) > LONGEST_PATH:
            self.leave_out(path[:LONGEST_PATH])
            return
        status = entry.stat(follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode) & _PERMISSIONS
        if stat.S_ISREG(status.st_mode):
            self.entries[path] = SavedEntry("f", mode)
            self.signatures[path] = _signature(status)
        elif stat.S_ISLNK(status.st_mode):
            self.entries[path] = SavedEntry("l", target=os.readlink(entry.name, dir_fd=directory))
        elif stat.S_ISDIR(status.st_mode):
            self.entries[path] = SavedEntry("d", mode)
            if levels == 0:
                self.leave_out(f"{path}/")
                return
            with _open(entry.name, directory) as below:
                self.walk(below, f"{path}/", levels - 1)

    def leave_out(self, path: str) -> None:
        if len(self.left_out) < _MOST_LEFT_OUT:
            self.left_out.append(path)


def _select_stored(
    found: _FileWalk, before: Scan
) -> tuple[Mapping[str, SavedEntry], Mapping[str, Packed]]:
    """Files as they were saved before, without those that have changed since or whose bytes move.

    Those without a signature may have changed. The second result is all bytes that stay where they
    are stored, by their sha256.
    """
    saved = before.index.entries
    stored = {
        path: saved[path]
        for path, signature in found.signatures.items()
        if path in saved and before.signatures.get(path, signature) == signature
    }
    again = _packs_to_write_again(stored, before.index.blobs)
    stored = {path: entry for path, entry in stored.items() if entry.blob not in again}
    known = {
        entry.sha256: Packed(entry.sha256, entry.blob, entry.offset, entry.stored_bytes)
        for entry in saved.values()
        if entry.blob and entry.blob not in again
    }
    return stored, known


def _packs_to_write_again(
    stored: Mapping[str, SavedEntry], sizes: Mapping[str, int]
) -> frozenset[str]:
    """Packs of which less than half is in use, and the smaller half if there are too many.

    So a snapshot needs at most twice the space of its files and a limited number of blobs, and
    each byte is written again a few times at most.
    """
    locations = {(e.blob, e.offset): e.stored_bytes for e in stored.values() if e.blob}
    used: Counter[str] = Counter()
    for (blob, _), size in locations.items():
        used[blob] += size
    again = {blob for blob, size in sizes.items() if used[blob] * 2 < size}
    packs = sorted((size, blob) for blob, size in used.items() if blob not in again)
    small = [blob for size, blob in packs if size < LARGE_BYTES]
    if len(small) > _MOST_PACKS:
        again |= set(small[: len(small) // 2 + 1])
    return frozenset(again)


class _ChangedFiles:
    """Reads changed files below an open directory."""

    def __init__(self, root: int, packs: PackWriter, started_ns: int, found: _FileWalk) -> None:
        self._root = root
        self._packs = packs
        self._started_ns = started_ns
        self._found = found
        self.signatures: dict[str, Signature] = {}

    def read(
        self, stored: Mapping[str, SavedEntry], before: Mapping[str, Signature]
    ) -> dict[str, SavedEntry]:
        """All entries, with those of files that may have changed as they are now."""
        entries: dict[str, SavedEntry] = {}
        for path, listed in self._found.entries.items():
            entry: SavedEntry | None = listed
            if listed.kind == "f":
                if path in stored and path in before:
                    entry, self.signatures[path] = stored[path], before[path]
                else:
                    entry = self._read(path)
            if entry is not None:
                entries[path] = entry
        return entries

    def _read(self, path: str) -> SavedEntry | None:
        try:
            with _open_below(self._root, path) as file:
                return self._save(path, file)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                    raise
                self._found.leave_out(path)
            return None

    def _save(self, path: str, file: int) -> SavedEntry | None:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        has_holes = is_sparse(status)
        ranges = tuple(data_ranges(file, status.st_size)) if has_holes else ((0, status.st_size),)
        packed = self._packs.add(file, ranges, may_end_early=not has_holes)
        signature = _signature(os.fstat(file))
        is_settled = status.st_ctime_ns < self._started_ns - _SETTLED_NS
        if signature == _signature(status) and is_settled:
            self.signatures[path] = signature
        return SavedEntry(
            "f",
            stat.S_IMODE(status.st_mode) & _PERMISSIONS,
            status.st_size if has_holes else packed.size,
            status.st_mtime_ns,
            packed.sha256,
            packed.blob,
            packed.offset,
            ranges if has_holes else None,
        )


def _signature(status: os.stat_result) -> Signature:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@contextmanager
def _open(path: str, directory: int | None = None, flags: int = _DIRECTORY) -> Iterator[int]:
    opened = os.open(path, flags, dir_fd=directory)
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _open_below(root: int, path: str) -> Iterator[int]:
    """Open a file without following links in its path."""
    *parents, name = path.split("/")
    directory = os.dup(root)
    try:
        for parent in parents:
            inner = os.open(parent, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        with _open(name, directory, _READ) as file:
            yield file
    finally:
        os.close(directory)
