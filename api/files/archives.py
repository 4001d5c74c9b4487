"""A directory as a `tar.gz` archive that is created while it is sent, with bounded memory.

Tools may change the directory at the same time. The archive never contains files outside the
directory, or links that lead out of it. Blocking: iterate in a thread.
"""

import os
import stat
import tarfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from types import MappingProxyType

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.http.files import download_headers
from domain.workspaces.snapshots import SavedEntry
from domain.workspaces.sparse_files import data_ranges, is_sparse

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_AT_ONCE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_FAST = 1
"""zlib level: level 6 takes three times as long and saves a tenth (measured with source code)."""

_DEEPEST = 100
"""Maximum depth; each level keeps a file open (chosen: projects are less than half as deep)."""

LEFT_OUT = "LEFT-OUT-OF-THIS-ARCHIVE.txt"
_MOST_LEFT_OUT = 1_000


class ArchiveResponse(StreamingResponse):
    """Create the archive of an open directory; closes the directory."""

    media_type = "application/gzip"

    def __init__(self, directory: int, name: str) -> None:
        """Takes ownership of the file descriptor; `name` is the name of the archive."""
        self._directory = directory
        self._parts = tar_gz(directory)
        super().__init__(self._parts, headers=download_headers(name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the archive."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._parts.close()
            os.close(self._directory)


def tar_gz(root: int) -> Generator[bytes, None, None]:
    """The files, directories and links below an open directory.

    The last file, `LEFT_OUT`, lists entries that are unreadable, not files, or lead out.
    """
    press = make_gzip()
    for part in _tar(root):
        if pressed := press.compress(part):
            yield pressed
    yield press.flush()


def _tar(root: int) -> Iterator[bytes]:
    left_out: list[str] = []
    yield from _entries(root, "", 0, left_out)
    yield list_left_out(left_out)
    yield end_of_tar()


def list_left_out(left_out: Sequence[str]) -> bytes:
    """The file `LEFT_OUT` with these paths; nothing if there are none."""
    if not left_out:
        return b""
    note = "".join(f"{path}\n" for path in sorted(left_out[:_MOST_LEFT_OUT]))
    content = note.encode(errors="replace")
    header = b"".join(_header(LEFT_OUT, tarfile.REGTYPE, 0o644, size=len(content)))
    return header + content + padding(len(content))


def make_gzip() -> "zlib._Compress":
    """Compress what is written to it as gzip."""
    return zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)


def end_of_tar() -> bytes:
    """The end of an archive."""
    return bytes(2 * tarfile.BLOCKSIZE)


def saved_header(path: str, entry: SavedEntry, saved_at: float) -> bytes | None:
    """The header of an entry of a snapshot, or None for a link that leads out.

    The stored bytes of a file follow, and then `padding`.
    """
    match entry.kind:
        case "d":
            return b"".join(_header(path, tarfile.DIRTYPE, entry.mode, at=saved_at))
        case "f":
            at = entry.mtime_ns / 1e9
            if entry.ranges is not None:
                return b"".join(_sparse_header(path, entry.mode, entry.size, entry.ranges, at=at))
            return b"".join(_header(path, tarfile.REGTYPE, entry.mode, size=entry.size, at=at))
        case "l" if _stays(entry.target, path.count("/")):
            return b"".join(_header(path, tarfile.SYMTYPE, 0o777, at=saved_at, target=entry.target))
    return None


def _entries(directory: int, path: str, depth: int, left_out: list[str]) -> Iterator[bytes]:
    with os.scandir(directory) as entries:
        for entry in entries:
            below = f"{path}{entry.name}"
            try:
                yield from _entry(directory, entry.name, below, depth, left_out)
            except OSError:  # deleted, not readable, or replaced
                _leave_out(left_out, below)


def _entry(
    directory: int, name: str, path: str, depth: int, left_out: list[str]
) -> Iterator[bytes]:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode) and depth < _DEEPEST:
        inside = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            yield from _header(path, tarfile.DIRTYPE, status.st_mode, at=status.st_mtime)
            yield from _entries(inside, f"{path}/", depth + 1, left_out)
        finally:
            os.close(inside)
    elif stat.S_ISREG(status.st_mode):
        yield from _content(os.open(name, _FILE, dir_fd=directory), path)
    elif stat.S_ISLNK(status.st_mode) and _stays(
        target := os.readlink(name, dir_fd=directory), depth
    ):
        yield from _header(path, tarfile.SYMTYPE, 0o777, at=status.st_mtime, target=target)
    else:
        _leave_out(left_out, path)


def _content(file: int, path: str) -> Iterator[bytes]:
    """A file with its length at the time of opening; missing bytes are filled with zeros."""
    with os.fdopen(file, "rb", buffering=0):
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} was replaced")
        if is_sparse(status):
            yield from _sparse_content(file, path, status)
            return
        yield from _header(
            path, tarfile.REGTYPE, status.st_mode, size=status.st_size, at=status.st_mtime
        )
        yield from _range(file, 0, status.st_size)
        yield padding(status.st_size)


def _sparse_content(file: int, path: str, status: os.stat_result) -> Iterator[bytes]:
    """A file with holes in GNU's format 1.0, without the holes: a map of its data, and the data.

    Holes take no space in the workspace, so reading them would be work without a limit.
    """
    size = status.st_size
    ranges = list(data_ranges(file, size))
    stored = sum(end - start for start, end in ranges)
    yield from _sparse_header(path, status.st_mode, size, ranges, at=status.st_mtime)
    for start, end in ranges:
        yield from _range(file, start, end)
    yield padding(stored)


def _sparse_header(
    path: str, mode: int, size: int, ranges: Sequence[tuple[int, int]], *, at: float
) -> Iterator[bytes]:
    """A header with a map of the data, which follows."""
    mapped = [*ranges, (size, size)]  # the last one gives the size
    lines = [str(len(mapped)), *(f"{start}\n{end - start}" for start, end in mapped), ""]
    sparse_map = "\n".join(lines).encode()
    sparse_map += padding(len(sparse_map))
    stored = len(sparse_map) + sum(end - start for start, end in ranges)
    pax = {"major": "1", "minor": "0", "name": path, "realsize": str(size)}
    yield from _header(path, tarfile.REGTYPE, mode, size=stored, at=at, sparse=pax)
    yield sparse_map


def _range(file: int, start: int, end: int) -> Iterator[bytes]:
    """A part of a file, with zeros if it became shorter: the header contains the length."""
    while start < end:
        size = min(end - start, _AT_ONCE)
        try:
            part = os.pread(file, size, start) or bytes(size)
        except OSError:
            part = bytes(size)
        start += len(part)
        yield part


def _stays(target: str, depth: int) -> bool:
    """Whether a link at this depth stays inside the unpacked archive.

    `..` is allowed only at the beginning: after a name, its target depends on other links.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    return not target.startswith("/") and climbs <= depth and ".." not in parts[climbs:]


def _header(
    path: str,
    kind: bytes,
    mode: int,
    *,
    size: int = 0,
    at: float = 0,
    target: str = "",
    sparse: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[bytes]:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.size, entry.mtime = kind, mode & 0o777, size, int(at)
    entry.linkname = target
    entry.pax_headers = {f"GNU.sparse.{name}": value for name, value in sparse.items()}
    yield entry.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """The bytes after a file of this size."""
    return bytes(-size % tarfile.BLOCKSIZE)


def _leave_out(left_out: list[str], path: str) -> None:
    if len(left_out) < _MOST_LEFT_OUT:
        left_out.append(path)
