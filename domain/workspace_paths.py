"""Paths of a workspace: how they are read, and how a file is found without ever leaving it.

One reading for the rules, the tools and the gateway. A path is walked one component at a time, each
opened below the last without following symbolic links; links are read and walked the same way. So a
link that is swapped in while we walk, by a command in the sandbox, makes the walk fail and never
lead elsewhere.
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
"""Where the model sees its workspace."""

_MAX_LINKS = 40
"""Links in one path: what Linux allows (path_resolution(7))."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO or a device must not wait for its other side.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def relative_path(path: str) -> str | None:
    """The path below the workspace, without a leading slash; `.` is the workspace itself.

    `/workspace/a//b`, `./a/b` and `a/b` are the same. None for what can't be meant: an absolute
    path elsewhere, any `..`, a NUL. Symbolic links are the tools' business.
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
    """A name in an open directory; it was no symbolic link when we looked."""

    directory: int
    name: str
    path: str

    def status(self) -> os.stat_result | None:
        """What is there, not following links; None if nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_directory(self) -> int:
        """A file descriptor of the directory there."""
        return os.open(self.name, _DIRECTORY, dir_fd=self.directory)

    def open_file(self, largest: int | None = None) -> int:
        """A file descriptor for reading the regular file there, of at most `largest` bytes.

        Raises:
            WorkspacePathError: it is something else, or larger.
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
                f"{self.path} has {status.st_size:,} bytes; the most this tool takes is "
                f"{largest:,}. Use bash for parts of it."
            )


Identity = tuple[int, int]
"""What tells one directory from every other: its device and its number there."""


def identity_of(status: os.stat_result) -> Identity:
    """The identity of what was looked at."""
    return status.st_dev, status.st_ino


@contextmanager
def place_below(
    root: Path,
    path: str,
    *,
    on_made: Callable[[int], None] | None = None,
    identity: Identity | None = None,
) -> Iterator[Place]:
    """Where a path leads below `root`; what the system refuses meanwhile becomes a sentence.

    With `on_made`, directories on the way that are missing are made and handed to it, open. With
    `identity`, `root` must still be that directory.

    Raises:
        WorkspaceFileMissingError: something on the way, or at its end, is missing.
        WorkspacePathError: it leads out of the workspace, or is no path.
    """
    relative = relative_path(path)
    if relative is None:
        raise WorkspacePathError(f"{path!r} is not a path in the workspace ({WORKSPACE}).")
    _require_text(path)
    try:
        with _Walk(root, path, on_made) as walk:
            walk.require(identity)
            yield walk.to(relative)
    except FileNotFoundError as error:
        raise WorkspaceFileMissingError(f"There is no {path} in the workspace.") from error
    except OSError as error:
        raise WorkspacePathError(_sentence(path, error)) from error


def _require_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise WorkspacePathError(f"The path {path!r} holds a lone surrogate.") from error


class _Walk(ExitStack):
    """One walk, and the directories it holds open."""

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
        """Refuse to go on where the walk began in another directory than was meant."""
        if identity is not None and identity_of(os.fstat(self._open[0])) != identity:
            raise WorkspacePathError("The working directory was moved away meanwhile. Try again.")

    def to(self, relative: str) -> Place:
        """Walk to the last component, which need not exist."""
        left = deque(_components(relative))
        links = 0
        while left:
            name = left.popleft()
            if name == "..":
                self._leave()
            elif (target := self._link(name)) is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise WorkspacePathError(f"{self._path} goes through too many symbolic links.")
                left.extendleft(reversed(self._follow(target)))
            elif not left:
                return Place(self._open[-1], name, "/".join([*self._names, name]))
            else:
                self._enter(name)
        return Place(self._open[-1], ".", "/".join(self._names) or ".")

    def _enter(self, name: str) -> None:
        inside = self._open[-1]
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
        """Back the way we came: the kernel's `..` may have moved meanwhile."""
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
        """The components of a link's target, from where the walk then is."""
        if not target.startswith("/"):
            return _components(target)
        below = relative_path(target)
        if below is None:
            raise WorkspacePathError(f"{self._path} is a symbolic link out of the workspace.")
        del self._open[1:], self._names[:]
        return _components(below)


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _sentence(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOTDIR:
            return f"A part of {path} is not a directory."
        case errno.ELOOP:
            return f"A part of {path} is a symbolic link that changed meanwhile."
        case _:
            return f"{path}: {os.strerror(error.errno or 0)}."
