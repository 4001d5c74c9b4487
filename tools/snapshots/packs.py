"""Collects the bytes of changed files into files for the store. Blocking."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from domain.files.blobs import NewBlob

LARGE_BYTES = 4 * 1024 * 1024
"""A file of this size is stored on its own, so that equal files are stored once (chosen)."""

PACK_BYTES = 64 * 1024 * 1024
"""The largest pack of small files: what a restore holds on the disk besides the files (chosen)."""

_AT_ONCE = 1024 * 1024


class Packed(NamedTuple):
    """Where bytes are stored. `blob` is a sha256 (hex), or the name of a pack that is open."""

    sha256: str
    blob: str
    offset: int
    size: int


class PackWriter:
    """Writes packs below a private directory."""

    def __init__(self, private: Path, known: Mapping[str, Packed]) -> None:
        """`known` is what the store has, by the sha256 of the bytes: it is not stored again."""
        self._private = private
        self._known = dict(known)
        self._pack: _OpenPack | None = None
        self._closed: dict[str, NewBlob] = {}

    def add(self, source: int, ranges: Sequence[tuple[int, int]], *, may_end_early: bool) -> Packed:
        """Add parts of an open file, each with a start and an end.

        If the file has become shorter, the rest is left out (`may_end_early`) or filled with zeros.
        """
        expected = sum(end - start for start, end in ranges)
        pack = self._pack_for(expected)
        mark = pack.mark()
        content, size = hashlib.sha256(), 0
        for part in _read(source, ranges, may_end_early=may_end_early):
            pack.write(part)
            content.update(part)
            size += len(part)
        sha256 = content.hexdigest()
        found = self._known.get(sha256)
        if found is None and size > 0:
            found = self._known[sha256] = Packed(sha256, pack.name, mark.size, size)
        else:
            pack.return_to(mark)
        return found or Packed(sha256, "", 0, 0)

    def _pack_for(self, size: int) -> "_OpenPack":
        """A pack with room for so many bytes; a large file has one of its own."""
        is_large, open_pack = size >= LARGE_BYTES, self._pack
        if open_pack is not None and (
            is_large or open_pack.is_single or open_pack.size + size > PACK_BYTES
        ):
            self._close()
        if self._pack is None:
            self._pack = _OpenPack(self._private, len(self._closed), is_single=is_large)
        return self._pack

    def _close(self) -> None:
        if self._pack is not None:
            self._closed[self._pack.name] = self._pack.close()
            self._pack = None

    def close(self) -> Mapping[str, NewBlob]:
        """Close all packs; returns those with content, by the names that `add` has returned."""
        self._close()
        for name, new in list(self._closed.items()):
            if new.size_bytes == 0:
                new.path.unlink()
                del self._closed[name]
        return self._closed

    def discard(self) -> None:
        """Delete the packs that were not stored."""
        self._close()
        for new in self._closed.values():
            new.path.unlink(missing_ok=True)


class _Mark(NamedTuple):
    size: int
    digest: "hashlib._Hash"


class _OpenPack:
    def __init__(self, private: Path, number: int, *, is_single: bool) -> None:
        """`is_single`: it is for one large file."""
        self.is_single = is_single
        self.name = f"pack {number}"
        self.size = 0
        self._path = private / f"pack-{os.urandom(8).hex()}"
        self._file = self._path.open("xb", buffering=0)
        self._digest = hashlib.sha256()

    def write(self, part: bytes) -> None:
        self._file.write(part)
        self._digest.update(part)
        self.size += len(part)

    def mark(self) -> _Mark:
        return _Mark(self.size, self._digest.copy())

    def return_to(self, mark: _Mark) -> None:
        self._file.truncate(mark.size)
        self._file.seek(mark.size)
        self.size, self._digest = mark.size, mark.digest

    def close(self) -> NewBlob:
        self._file.close()
        return NewBlob(self._path, self._digest.hexdigest(), self.size)


def _read(
    source: int, ranges: Sequence[tuple[int, int]], *, may_end_early: bool
) -> Iterator[bytes]:
    for start, end in ranges:
        at = start
        while at < end:
            part = os.pread(source, min(end - at, _AT_ONCE), at)
            if not part and may_end_early:
                return
            part = part or bytes(min(end - at, _AT_ONCE))
            at += len(part)
            yield part
