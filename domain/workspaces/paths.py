"""Paths of a workspace: normalising them, and opening files without leaving the workspace.

The rules, the tools and the gateway use the same code. A path is resolved one component at a time;
each is opened below the last one without following symbolic links, and links are resolved in the
same way. So if a command replaces a component with a link at the same time, the resolution fails
and never leaves the workspace.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.errors import WorkspaceFileMissingError, WorkspacePathError

WORKSPACE = "/workspace"
"""The path of the workspace for the model."""

_MAX_LINKS = 40
"""Links in one path, as in Linux (path_resolution(7))."""

_DEEPEST = 200
"""Levels of directories above a file; each keeps a file open until it is resolved (chosen)."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO or a device must not block.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def relative_path(path: str) -> str | None:
    """Normalise a path below the workspace, without a leading slash; `.` is the workspace itself.

    `/workspace/a//b`, `./a/b` and `a/b` are equal. None for other absolute paths and paths with
    `..` or NUL. Symbolic links are not resolved.
    """
    if not path or "\0" in path:
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/"):
        if parts[:1] != [WORKSPACE.removeprefix("/")]:
            return None
        del parts[0]
    return None if ".." in parts else "/".join(parts) or "."


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open directory; it was not a symbolic link when it was resolved."""

    directory: int
    name: str
    path: str

    def status(self) -> os.stat_result | None:
        """The status of the entry, without following links; None if it does not exist."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_directory(self) -> int:
        """Open the directory; returns a file descriptor."""
        return os.open(self.name, _DIRECTORY, dir_fd=self.directory)

    def open_file(self, largest: int | None = None) -> int:
        """Open the regular file for reading; returns a file descriptor.

        Raises:
            WorkspacePathError: it is not a regular file, or has more than `largest` bytes.
        """
        self._check(os.stat(self.name, dir_fd=self.directory, follow_symlinks=False), largest)
        file = os.open(self.name, _FILE, dir_fd=self.directory)
        try:
            self._check(os.fstat(file), largest)
        except WorkspacePathError:
            os.close(file)
            raise
        return file

    def _check(self, status: os.stat_result, largest: int | None) -> None:
        if stat.S_ISDIR(status.st_mode):
            raise WorkspacePathError(f"{self.path} is a directory.")
        if not stat.S_ISREG(status.st_mode):
            raise WorkspacePathError(f"{self.path} is not a regular file.")
        if largest is not None and status.st_size > largest:
            raise WorkspacePathError(
                f"{self.path} has {status.st_size:,} bytes; the limit of this tool is "
                f"{largest:,}. Use bash to read parts of it."
            )


Identity = tuple[int, int]
"""Identifies a directory: its device and inode."""


def identity_of(status: os.stat_result) -> Identity:
    """The identity of a directory."""
    return status.st_dev, status.st_ino


@contextmanager
def place_below(
    root: Path,
    path: str,
    *,
    on_made: Callable[[int], None] | None = None,
    identity: Identity | None = None,
) -> Iterator[Place]:
    """Resolve a path below `root`; errors of the system become messages for the model.

    With `on_made`, missing directories on the path are created and passed to it, open. With
    `identity`, `root` must still be that directory.

    Raises:
        WorkspaceFileMissingError: the file, or a directory on the path, is missing.
        WorkspacePathError: the path is invalid, or leads out of the workspace.
    """
    relative = relative_path(path)
    if relative is None:
        raise WorkspacePathError(f"{path!r} is not a path in the workspace ({WORKSPACE}).")
    _require_text(path)
    try:
        with _Walk(root, path, on_made) as walk:
            walk.require(identity)
            yield walk.resolve(relative)
    except FileNotFoundError as error:
        raise WorkspaceFileMissingError(f"There is no {path} in the workspace.") from error
    except OSError as error:
        raise WorkspacePathError(_sentence(path, error)) from error


def _require_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise WorkspacePathError(f"The path {path!r} contains a lone surrogate.") from error


class _Walk(ExitStack):
    """Resolves one path, and holds its directories open."""

    def __init__(self, root: Path, path: str, on_made: Callable[[int], None] | None) -> None:
        super().__init__()
        self._path = path
        self._on_made = on_made
        self._open = [self._keep(os.open(root, _DIRECTORY))]
        self._names: list[str] = []

    def _keep(self, directory: int) -> int:
        self.callback(os.close, directory)
        return directory

    def require(self, identity: Identity | None) -> None:
        """Check that the resolution started in the expected directory."""
        if identity is not None and identity_of(os.fstat(self._open[0])) != identity:
            raise WorkspacePathError("The working directory was replaced. Try again.")

    def resolve(self, relative: str) -> Place:
        """Resolve up to the last component, which need not exist."""
        left = deque(split_path(relative))
        links = 0
        while left:
            name = left.popleft()
            if name == "..":
                self._leave()
            elif (target := self._link(name)) is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise WorkspacePathError(f"{self._path} contains too many symbolic links.")
                left.extendleft(reversed(self._follow(target)))
            elif not left:
                return Place(self._open[-1], name, "/".join([*self._names, name]))
            else:
                self._enter(name)
        return Place(self._open[-1], ".", "/".join(self._names) or ".")

    def _enter(self, name: str) -> None:
        inside = self._open[-1]
        if len(self._names) == _DEEPEST:
            raise WorkspacePathError(
                f"{self._path} is below more than {_DEEPEST} directories. Use bash to read it."
            )
        try:
            found = os.open(name, _DIRECTORY, dir_fd=inside)
        except FileNotFoundError:
            if self._on_made is None:
                raise
            os.mkdir(name, 0o755, dir_fd=inside)
            found = os.open(name, _DIRECTORY, dir_fd=inside)
            self._on_made(found)
        self._open.append(self._keep(found))
        self._names.append(name)

    def _leave(self) -> None:
        """Return to the previous directory, because `..` may have been moved."""
        if not self._names:
            raise WorkspacePathError(f"{self._path} is a symbolic link out of the workspace.")
        self._open.pop()
        self._names.pop()

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(name, dir_fd=self._open[-1])
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise

    def _follow(self, target: str) -> list[str]:
        """The components of a link's target, from the directory in which to continue."""
        if not target.startswith("/"):
            return split_path(target)
        below = relative_path(target)
        if below is None:
            raise WorkspacePathError(f"{self._path} is a symbolic link out of the workspace.")
        del self._open[1:], self._names[:]
        return split_path(below)


def split_path(path: str) -> list[str]:
    """The components of a path, without those that mean the same directory."""
    return [part for part in path.split("/") if part not in ("", ".")]


def _sentence(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOTDIR:
            return f"A part of {path} is not a directory."
        case errno.ELOOP:
            return f"A part of {path} is a symbolic link that has changed. Try again."
        case _:
            return f"{path}: {os.strerror(error.errno or 0)}."
