"""Snapshots of a session's workspace: which files it had, and where their bytes are stored.

An index lists every entry of the workspace. The bytes of small files are stored together in packs,
those of large files on their own. A later snapshot refers to the bytes that have not changed.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from uuid import UUID

from domain.files.blobs import StoredBlob

_FORMAT = 1
_LEVEL = 1
"""Of zlib: hashes are most of an index, and they can't be compressed further."""

_LARGEST_INDEX = 1024 * 1024 * 1024
"""Bytes of an index without compression; 200,000 entries have about 40 MB."""


class SnapshotUnreadableError(ValueError):
    """The stored snapshot of a workspace can't be restored: its bytes are others than recorded."""


@dataclass(frozen=True, slots=True)
class WorkspaceVersion:
    """What the record says about the files of a session.

    `epoch` counts the moves between hosts: a directory of an earlier epoch is out of date.
    `snapshot` is the sha256 (hex) of the index of the newest snapshot, if there is one.
    """

    epoch: int = 0
    snapshot: str | None = None


FIRST_VERSION = WorkspaceVersion()
"""A workspace without files that has not moved."""


def directory_name(session_id: UUID, epoch: int) -> str:
    """The name of a session's directory on a host."""
    return f"{session_id}.{epoch}" if epoch else str(session_id)


@dataclass(frozen=True, slots=True)
class WorkspaceSnapshot:
    """A stored snapshot, to be recorded with the outcome of the call that changed the files.

    `sha256` (hex) is that of its index. `blobs` are all stored files that it needs, with the index.
    """

    sha256: str
    blobs: Sequence[StoredBlob]
    files: int
    size_bytes: int
    turn: int = 0

    @property
    def is_saved(self) -> bool:
        """Whether files are stored. Otherwise it records that those of its turn are not."""
        return bool(self.sha256)


NOT_SAVED = WorkspaceSnapshot("", (), 0, 0)
"""The files could not be stored."""


class SavedEntry(NamedTuple):
    """An entry of a workspace.

    `kind`: directory, file or link. Of a file, `sha256` (hex) is that of its stored bytes, which
    begin at `offset` of `blob`; those of a file with holes are its `ranges` (start and end), one
    after the other. `target` is that of a link.
    """

    kind: Literal["d", "f", "l"]
    mode: int = 0
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    blob: str = ""
    offset: int = 0
    ranges: tuple[tuple[int, int], ...] | None = None
    target: str = ""

    @property
    def stored_bytes(self) -> int:
        """How many bytes are stored of a file."""
        if self.ranges is None:
            return self.size if self.kind == "f" else 0
        return sum(end - start for start, end in self.ranges)


@dataclass(frozen=True, slots=True)
class WorkspaceIndex:
    """The entries of a snapshot by path, in order, and the sizes of the blobs that they need.

    `left_out` are paths that can't be saved, such as files without permission to read.
    """

    entries: Mapping[str, SavedEntry] = field(default_factory=dict)
    blobs: Mapping[str, int] = field(default_factory=dict)
    left_out: Sequence[str] = ()

    def encode(self) -> bytes:
        """The bytes of the index; equal indexes have equal bytes."""
        numbers = {sha256: number for number, sha256 in enumerate(self.blobs)}
        listed = [_list_entry(path, entry, numbers) for path, entry in self.entries.items()]
        body = {
            "format": _FORMAT,
            "blobs": list(self.blobs.items()),
            "entries": listed,
            "left_out": list(self.left_out),
        }
        # ASCII: names that are not UTF-8 contain lone surrogates (PEP 383).
        return zlib.compress(json.dumps(body, separators=(",", ":")).encode("ascii"), _LEVEL)

    @classmethod
    def decode(cls, content: bytes, sha256: str) -> "WorkspaceIndex":
        """Read the bytes of the index with this sha256 (hex).

        Raises:
            SnapshotUnreadableError: they are others, are not an index, or a path in it leads out.
        """
        if hashlib.sha256(content).hexdigest() != sha256:
            raise SnapshotUnreadableError(f"The index {sha256} has other bytes than recorded.")
        try:
            reader = zlib.decompressobj()
            body = json.loads(reader.decompress(content, _LARGEST_INDEX))
            if body["format"] != _FORMAT:
                raise SnapshotUnreadableError(f"Its format is {body['format']!r}.")
            blobs = {str(sha256): int(size) for sha256, size in body["blobs"]}
            names = list(blobs)
            entries = dict(_read_entry(listed, names) for listed in body["entries"])
        except (zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
            raise SnapshotUnreadableError("It is not an index of a snapshot.") from error
        _check_paths(entries)
        return cls(entries, blobs, body["left_out"])


def _list_entry(path: str, entry: SavedEntry, numbers: Mapping[str, int]) -> list[object]:
    if entry.kind == "l":
        return [path, "l", entry.target]
    if entry.kind == "d":
        return [path, "d", entry.mode]
    number = numbers[entry.blob] if entry.blob else None
    listed = [path, "f", entry.mode, entry.size, entry.mtime_ns, entry.sha256, number, entry.offset]
    return [*listed, entry.ranges] if entry.ranges is not None else listed


def _read_entry(listed: Sequence[object], names: Sequence[str]) -> tuple[str, SavedEntry]:
    match listed:
        case [str(path), "l", str(target)]:
            return path, SavedEntry("l", target=target)
        case [str(path), "d", int(mode)]:
            return path, SavedEntry("d", mode)
        case [
            str(path),
            "f",
            int(mode),
            int(size),
            int(mtime_ns),
            str(sha256),
            number,
            int(offset),
            *ranges,
        ]:
            blob = names[number] if isinstance(number, int) else ""
            found = tuple((int(s), int(e)) for s, e in ranges[0]) if ranges else None  # type: ignore[attr-defined]
            return path, SavedEntry("f", mode, size, mtime_ns, sha256, blob, offset, found)
    raise ValueError("An entry has an unknown form.")


def _check_paths(entries: Mapping[str, SavedEntry]) -> None:
    """Check that every entry is below a directory of the index, so that none leads out."""
    for path in entries:
        parent, _, name = path.rpartition("/")
        is_below = not parent or (parent in entries and entries[parent].kind == "d")
        if not is_below or name in ("", ".", "..") or "\0" in path or path.startswith("/"):
            raise SnapshotUnreadableError(f"It contains the path {path!r}.")
