"""Where the tools of an execution work: its session's own directory, or one the operator lists.

A session's directory is named after the session and the epoch of its workspace: after a move to
another host and back, there is a new one.
"""

import asyncio
import os
import re
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

from domain.errors import ToolInputError
from domain.mcp.tools import RemoteScope
from domain.tools.calls import ToolInvocation
from domain.workspaces import directories as working_directories
from domain.workspaces.paths import identity_of
from domain.workspaces.snapshots import WorkspaceSnapshot, WorkspaceVersion, directory_name
from tools.deletion import delete_directory
from tools.paths import Workspace
from tools.snapshots.restoring import SnapshotStore
from tools.snapshots.saving import RESTORING, Snapshots

_CLOSED = 0o700
_DIRECTORY_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.(\d+))?")
"""As `domain.workspaces.snapshots.directory_name` makes it."""

_RESTORE_SECONDS = 3600
"""Age of a directory in which nothing is restored any more (chosen: an attempt ends after less)."""

RESTORED = (
    "(The files of this workspace were restored from the last completed call before this one. "
    "Changes of calls that were interrupted are not among them.)\n"
)
LEFT_OUT = "(These paths could not be read when the files were saved, so they are missing: {}.)\n"


@dataclass(frozen=True, slots=True)
class Site:
    """A workspace, and a note about it for the model, before the call's output."""

    workspace: Workspace
    note: str = ""
    refusal: str | None = None
    """Why it is not writable."""


class Workspaces:
    """The directories of one host's sessions. Each is created when its first tool runs."""

    def __init__(
        self,
        root: Path,
        *,
        owner: int | None,
        listed: Sequence[Path],
        store: SnapshotStore | None = None,
    ) -> None:
        """`owner` is the user for commands, None for our own. Tasks may use `listed` directories.

        `root` and its private directory are on one file system; they are created if missing.
        Without a `store`, nothing is saved or restored.
        """
        self._root = root.absolute()
        self._owner = owner
        self._listed = listed
        self.private = self._root / ".private"
        self.private.mkdir(mode=_CLOSED, parents=True, exist_ok=True)
        self._snapshots = None if store is None else Snapshots(store, self.private, owner=owner)
        self._using: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    def create(self, session_id: UUID, epoch: int = 0) -> Path:
        """The session's workspace, created if missing, without access for other users."""
        return self._make(self._root / directory_name(session_id, epoch))

    def find(self, session_id: UUID, epoch: int) -> Path | None:
        """The session's workspace, if this host has it."""
        path = self._root / directory_name(session_id, epoch)
        return path if path.is_dir() else None

    def probe(self) -> Workspace:
        """A workspace without files, for checks."""
        return self._make_workspace(self._make(self.private / "probe"))

    async def site(self, invocation: ToolInvocation | RemoteScope) -> Site:
        """The workspace of a call, or of the MCP servers of an execution.

        Raises:
            ToolInputError: the task's directory can't be used, with what to do.
        """
        if invocation.working_directory is not None:
            return await asyncio.to_thread(self._open_listed, invocation.working_directory)
        version = invocation.workspace
        note = await self._restore(invocation.session_id, version)
        return Site(self._make_workspace(self.create(invocation.session_id, version.epoch)), note)

    def _make_workspace(self, path: Path) -> Workspace:
        return Workspace(path, self.private, self._owner)

    def _make(self, path: Path) -> Path:
        path.mkdir(mode=_CLOSED, exist_ok=True)
        if self._owner is not None and path.stat().st_uid != self._owner:
            os.chown(path, self._owner, self._owner)
        return path

    async def remove(self, epochs: Mapping[UUID, int | None]) -> None:
        """Delete the directories of sessions: all of them, or those of earlier epochs only."""
        for path, session_id, epoch in await asyncio.to_thread(self._directories):
            if session_id not in epochs:
                continue
            current = epochs[session_id]
            if current is None or epoch < current:
                await delete_directory(path)

    async def delete_abandoned_restores(self) -> None:
        """Delete what restores that were killed have left behind."""
        oldest = time.time() - _RESTORE_SECONDS
        for path in await asyncio.to_thread(_list_older, self.private, oldest):
            await delete_directory(path)

    def _directories(self) -> Sequence[tuple[Path, UUID, int]]:
        """The directories of sessions on this host, with their sessions and epochs."""
        names = (_DIRECTORY_NAME.fullmatch(entry.name) for entry in os.scandir(self._root))
        return [(self._root / n[0], UUID(n[1]), int(n[2] or 0)) for n in names if n]

    def list_sessions(self) -> Sequence[UUID]:
        """Return the sessions that have directories on this host. Blocking."""
        return sorted({session_id for _, session_id, _ in self._directories()})

    # --- snapshots ----------------------------------------------------------------------------

    async def save(self, session_id: UUID, version: WorkspaceVersion) -> WorkspaceSnapshot | None:
        """Store the changes since the snapshot of this version; None if nothing has.

        Raises:
            WorkspaceNotSavedError: the files can't be saved, with the reason.
        """
        path = self._root / directory_name(session_id, version.epoch)
        if self._snapshots is None:
            return None
        async with self._using.setdefault(path, asyncio.Lock()):
            return await self._snapshots.save(path, version.snapshot)

    async def _restore(self, session_id: UUID, version: WorkspaceVersion) -> str:
        """Restore the files of a workspace that this host does not have; returns a note."""
        path = self._root / directory_name(session_id, version.epoch)
        async with self._using.setdefault(path, asyncio.Lock()):
            if self._snapshots is None or version.snapshot is None or path.exists():
                return ""
            left_out = await self._snapshots.restore(version.snapshot, path)
        note = RESTORED if version.epoch else ""  # a fork expects the files of its turn
        return note + (LEFT_OUT.format(", ".join(left_out)) if left_out else "")

    # --- directories that the operator lists --------------------------------------------------

    def _open_listed(self, path: str) -> Site:
        """The task's directory, which is checked again before each use.

        It is opened first and its path is read from the open file, so that it can't be replaced
        with a link in between; the tools check its identity.
        """
        if problem := working_directories.problem(path, self._listed):
            raise ToolInputError(f"The task's working directory {path}: {problem}")
        try:
            opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise ToolInputError(f"The task's working directory {path}: {reason}.") from error
        try:
            found, status = Path(f"/proc/self/fd/{opened}").readlink(), os.fstat(opened)
        finally:
            os.close(opened)
        if problem := working_directories.problem(str(found), self._listed):
            raise ToolInputError(f"The task's working directory {path}: {problem}")
        return self._site_at(found, status)

    def _site_at(self, path: Path, status: os.stat_result) -> Site:
        if not self._may(path, status, stat.S_IROTH | stat.S_IXOTH):
            raise ToolInputError(self._sentence(path, status, "read"))
        may_write = self._may(path, status, stat.S_IWOTH | stat.S_IXOTH)
        refusal = None if may_write else self._sentence(path, status, "written")
        workspace = Workspace(path, self.private, self._owner, identity_of(status))
        return Site(workspace, refusal=refusal)

    def _may(self, path: Path, status: os.stat_result, wanted: int) -> bool:
        """Whether commands have the access of these permission bits (of `others`)."""
        if self._owner is None:
            return os.access(path, wanted)  # R_OK, W_OK and X_OK are the bits of `others`
        shift = 6 if status.st_uid == self._owner else 3 if status.st_gid == self._owner else 0
        return status.st_mode >> shift & wanted == wanted

    def _sentence(self, path: Path, status: os.stat_result, done: str) -> str:
        user = os.geteuid() if self._owner is None else self._owner
        return (
            f"The working directory {path} can't be {done}: its owner is user {status.st_uid}, "
            f"its mode is {stat.S_IMODE(status.st_mode):04o}, and commands run as user {user}. "
            f"The operator can change that: chown -R {user} {path}, or a less strict mode."
        )


def _list_older(private: Path, oldest: float) -> Sequence[Path]:
    """The directories of restores that have not changed since a time."""
    return [
        Path(entry.path)
        for entry in os.scandir(private)
        if entry.name.startswith(RESTORING)
        and entry.is_dir(follow_symlinks=False)
        and entry.stat(follow_symlinks=False).st_mtime < oldest
    ]
