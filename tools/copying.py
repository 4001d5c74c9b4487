"""Copies a workspace while commands may change it. Blocking: call it in a thread."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PERMISSIONS = 0o777
"""The copied bits of a mode: setuid is dropped."""

_AT_ONCE = 1024 * 1024


def copy_tree(source: Path, target: Path, *, owner: int | None) -> None:
    """Copy files, directories and links below `source` into the new directory `target`.

    Nothing outside `source` is read, even if entries are replaced during the copy: a directory is
    entered only if it is still the listed one, and links are copied as links. Pipes, sockets,
    devices and files that disappear are skipped. `owner` becomes the owner of the copy.
    """
    target.mkdir(0o700)
    for path, directories, files, inside in os.fwalk(source):
        below = target / os.path.relpath(path, source)
        # Only entries that are directories in the copy too are entered, and no links.
        directories[:] = [d for d in directories if _copy_entry(d, below / d, inside, owner)]
        for name in files:
            _copy_entry(name, below / name, inside, owner)
        _give(below, owner)


def _copy_entry(name: str, target: Path, inside: int, owner: int | None) -> bool:
    """Copy an entry of an open directory; True for a directory, whose content is copied later."""
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=inside, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            # Writable for us, whatever the mode of the source.
            target.mkdir(stat.S_IMODE(status.st_mode) & _PERMISSIONS | stat.S_IRWXU)
            return True
        if stat.S_ISLNK(status.st_mode):
            target.symlink_to(os.readlink(name, dir_fd=inside))
            _give(target, owner)
        elif stat.S_ISREG(status.st_mode):
            _copy_content(name, target, inside)
            _give(target, owner)
    return False


def _copy_content(name: str, target: Path, inside: int) -> None:
    with os.fdopen(os.open(name, _READ, dir_fd=inside), "rb") as read, target.open("xb") as written:
        status = os.fstat(read.fileno())
        # A growing file is copied up to its first size, so that the copy ends.
        left = status.st_size if stat.S_ISREG(status.st_mode) else 0
        while left > 0 and (part := read.read(min(left, _AT_ONCE))):
            written.write(part)
            left -= len(part)
        os.fchmod(written.fileno(), stat.S_IMODE(status.st_mode) & _PERMISSIONS)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _give(path: Path, owner: int | None) -> None:
    if owner is not None:
        os.chown(path, owner, owner, follow_symlinks=False)
