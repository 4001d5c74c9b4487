"""Finding a file of a workspace without ever leaving it, whatever runs in it meanwhile.

A path is walked one component at a time, each opened below the last without following symbolic
links; links are read and walked the same way. So a link that is swapped in while we walk, by a
command in the sandbox, makes the walk fail and never lead elsewhere.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.errors import ToolInputError
from domain.workspace_paths import WORKSPACE, relative_path
from tools.output import encoded

_MAX_LINKS = 40
"""Links in one path: what Linux allows (path_resolution(7))."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO or a device must not wait for its other side.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace's directory, a private one beside it, and the user its files belong to."""

    root: Path
    private: Path
    owner: int | None

    def give(self, file: int) -> None:
        """Make an open file or directory the workspace's own."""
        if self.owner is not None:
            os.fchown(file, self.owner, self.owner)


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

    def open_file(self, largest: int) -> int:
        """A file descriptor for reading the regular file there.

        Raises:
            ToolInputError: it is something else, or larger.
        """
        self._check(os.stat(self.name, dir_fd=self.directory, follow_symlinks=False), largest)
        file = os.open(self.name, _FILE, dir_fd=self.directory)
        try:
            self._check(os.fstat(file), largest)
        except ToolInputError:
            os.close(file)
            raise
        return file

    def _check(self, status: os.stat_result, largest: int) -> None:
        if stat.S_ISDIR(status.st_mode):
            raise ToolInputError(f"{self.path} is a directory.")
        if not stat.S_ISREG(status.st_mode):
            raise ToolInputError(f"{self.path} is not a regular file.")
        if status.st_size > largest:
            raise ToolInputError(
                f"{self.path} has {status.st_size:,} bytes; the most this tool takes is "
                f"{largest:,}. Use bash for parts of it."
            )


@contextmanager
def place_of(workspace: Workspace, path: str, *, make_directories: bool = False) -> Iterator[Place]:
    """Where a path leads. What the system refuses meanwhile becomes a sentence for the model.

    Raises:
        ToolInputError: it leads out of the workspace, or something on the way is missing.
    """
    relative = relative_path(path)
    if relative is None:
        raise ToolInputError(f"{path!r} is not a path in the workspace ({WORKSPACE}).")
    encoded(path)
    try:
        with _Walk(workspace, path, make_directories=make_directories) as walk:
            yield walk.to(relative)
    except OSError as error:
        raise ToolInputError(_sentence(path, error)) from error


class _Walk(ExitStack):
    """One walk, and the directories it holds open."""

    def __init__(self, workspace: Workspace, path: str, *, make_directories: bool) -> None:
        super().__init__()
        self._workspace = workspace
        self._path = path
        self._makes = make_directories
        self._open = [self._keep(os.open(workspace.root, _DIRECTORY))]
        self._names: list[str] = []

    def _keep(self, directory: int) -> int:
        self.callback(os.close, directory)
        return directory

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
                    raise ToolInputError(f"{self._path} goes through too many symbolic links.")
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
            if not self._makes:
                raise
            os.mkdir(name, 0o755, dir_fd=inside)
            found = os.open(name, _DIRECTORY, dir_fd=inside)
            self._workspace.give(found)
        self._open.append(self._keep(found))
        self._names.append(name)

    def _leave(self) -> None:
        """Back the way we came: the kernel's `..` may have moved meanwhile."""
        if not self._names:
            raise ToolInputError(f"{self._path} is a symbolic link out of the workspace.")
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
            raise ToolInputError(f"{self._path} is a symbolic link out of the workspace.")
        del self._open[1:], self._names[:]
        return _components(below)


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _sentence(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return f"There is no {path} in the workspace."
        case errno.ENOTDIR:
            return f"A part of {path} is not a directory."
        case errno.ELOOP:
            return f"A part of {path} is a symbolic link that changed meanwhile."
        case _:
            return f"{path}: {os.strerror(error.errno or 0)}."
