"""A directory as a `tar.gz`, made while it is sent: in bounded memory, however much there is.

What runs in the directory may change it meanwhile. Nothing outside of it is read, and no link that
leads out of it is passed on. Blocking: iterate in a thread.
"""

import os
import stat
import tarfile
import zlib
from collections.abc import Generator, Iterator
from io import RawIOBase

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.http.files import as_download

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_AT_ONCE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_FAST = 1
"""zlib's level: level 6 takes three times the time for a tenth less (sources, measured)."""

_DEEPEST = 100
"""Directories in directories; each holds a file open (chosen: no project is half as deep)."""

LEFT_OUT = "LEFT-OUT-OF-THIS-ARCHIVE.txt"
_MOST_LEFT_OUT = 1_000


class ArchiveResponse(StreamingResponse):
    """The archive of an open directory, which is closed at the end."""

    media_type = "application/gzip"

    def __init__(self, directory: int, name: str) -> None:
        """Takes over the file descriptor; `name` is what the archive is called."""
        self._directory = directory
        self._parts = tar_gz(directory)
        super().__init__(self._parts, headers=as_download(name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._parts.close()
            os.close(self._directory)


def tar_gz(root: int) -> Generator[bytes, None, None]:
    """The files, directories and links below an open directory.

    What can't be read, is no file, or leads out is named in a last file, `LEFT_OUT`.
    """
    press = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
    for part in _tar(root):
        if pressed := press.compress(part):
            yield pressed
    yield press.flush()


def _tar(root: int) -> Iterator[bytes]:
    left_out: list[str] = []
    yield from _entries(root, "", 0, left_out)
    if left_out:
        note = "".join(f"{path}\n" for path in left_out[:_MOST_LEFT_OUT])
        content = note.encode(errors="replace")
        yield from _header(LEFT_OUT, tarfile.REGTYPE, 0o644, size=len(content))
        yield content + _padding(len(content))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _entries(directory: int, path: str, depth: int, left_out: list[str]) -> Iterator[bytes]:
    with os.scandir(directory) as entries:
        for entry in entries:
            below = f"{path}{entry.name}"
            try:
                yield from _entry(directory, entry.name, below, depth, left_out)
            except OSError:  # gone, closed to us, or swapped for something else
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
    """A file as long as it was when it was opened: what it lacks by now is filled with zeros."""
    with os.fdopen(file, "rb", buffering=0) as opened:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} was swapped")
        yield from _header(
            path, tarfile.REGTYPE, status.st_mode, size=status.st_size, at=status.st_mtime
        )
        left = status.st_size
        while left > 0:
            part = _read(opened, min(left, _AT_ONCE))
            left -= len(part)
            yield part
        yield _padding(status.st_size)


def _read(file: RawIOBase, size: int) -> bytes:
    """The next bytes, or zeros for those that are gone: the header has promised them."""
    try:
        return file.read(size) or bytes(size)
    except OSError:
        return bytes(size)


def _stays(target: str, depth: int) -> bool:
    """Whether a link from this depth stays inside wherever the archive is unpacked.

    It may climb first and then only go down: behind a name, `..` leads where other links say.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    return not target.startswith("/") and climbs <= depth and ".." not in parts[climbs:]


def _header(
    path: str, kind: bytes, mode: int, *, size: int = 0, at: float = 0, target: str = ""
) -> Iterator[bytes]:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.size, entry.mtime = kind, mode & 0o777, size, int(at)
    entry.linkname = target
    yield entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _leave_out(left_out: list[str], path: str) -> None:
    if len(left_out) < _MOST_LEFT_OUT:
        left_out.append(path)
