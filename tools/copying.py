"""Copies a workspace while commands may change it. Blocking: call it in a thread."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.sparse_files import data_ranges

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PERMISSIONS = 0o777
"""The copied bits of a mode: setuid is dropped."""

_AT_ONCE = 1024 * 1024

DEEPEST = 100
"""Levels of directories that are copied; each keeps files open (as in archives)."""


def copy_tree(source: Path, target: Path, *, owner: int | None) -> bool:
    """Copy files, directories and links below `source` into the new directory `target`.

    Nothing outside `source` is read, even if entries are replaced during the copy: each directory
    is opened below the last one, and links are copied as links. Pipes, sockets, devices and files
    that disappear are skipped. `owner` becomes the owner of the copy. Returns whether it is whole:
    directories deeper than `DEEPEST` and what can't be read are left out.

    Raises:
        OSError: the copy can't be written.
    """
    target.mkdir(0o700)
    copy = _Copy(owner)
    with _opened(str(source)) as read, _opened(str(target)) as written:
        copy.entries(read, written, DEEPEST)
    return copy.is_whole


class _Copy:
    """Copies between open directories."""

    def __init__(self, owner: int | None) -> None:
        self._owner = owner
        self.is_whole = True

    def entries(self, source: int, target: int, levels: int) -> None:
        """Copy the entries of an open directory into another, up to so many levels below."""
        with os.scandir(source) as entries:
            for entry in entries:
                try:
                    self._entry(entry.name, source, target, levels)
                except _UnreadableError as error:
                    self.is_whole &= error.is_gone
        self._give(target)

    def _entry(self, name: str, source: int, target: int, levels: int) -> None:
        with _reading():
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._directory(name, source, target, levels)
        elif stat.S_ISLNK(status.st_mode):
            with _reading():
                content = os.readlink(name, dir_fd=source)
            os.symlink(content, name, dir_fd=target)
            if self._owner is not None:
                os.chown(name, self._owner, self._owner, dir_fd=target, follow_symlinks=False)
        elif stat.S_ISREG(status.st_mode):
            self._file(name, source, target)

    def _directory(self, name: str, source: int, target: int, levels: int) -> None:
        if levels == 0:
            self.is_whole = False
            return
        with _opened(name, source) as read:
            # Writable for us, whatever the mode of the source.
            mode = stat.S_IMODE(os.fstat(read).st_mode) & _PERMISSIONS | stat.S_IRWXU
            os.mkdir(name, mode, dir_fd=target)
            with _opened(name, target) as written:
                self.entries(read, written, levels - 1)

    def _file(self, name: str, source: int, target: int) -> None:
        with _opened(name, source, _READ) as read:
            status = os.fstat(read)
            if not stat.S_ISREG(status.st_mode):
                return
            with os.fdopen(os.open(name, _WRITE, 0o600, dir_fd=target), "wb", 0) as written:
                _copy_content(read, written.fileno(), status.st_size)
                os.fchmod(written.fileno(), stat.S_IMODE(status.st_mode) & _PERMISSIONS)
                self._give(written.fileno())
                os.utime(written.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))

    def _give(self, file: int) -> None:
        if self._owner is not None:
            os.fchown(file, self._owner, self._owner)


class _UnreadableError(OSError):
    """An entry can't be read."""

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted or replaced."""
        return self.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _UnreadableError(error.errno, error.strerror) from error


def _copy_content(read: int, written: int, size: int) -> None:
    """Copy a file up to this size, although it may grow; its holes stay holes."""
    os.ftruncate(written, size)
    for start, end in data_ranges(read, size):
        at = start
        while at < end and (part := os.pread(read, min(end - at, _AT_ONCE), at)):
            at += os.pwrite(written, part, at)


@contextmanager
def _opened(path: str, directory: int | None = None, flags: int = _DIRECTORY) -> Iterator[int]:
    with _reading():
        opened = os.open(path, flags, dir_fd=directory)
    try:
        yield opened
    finally:
        os.close(opened)
