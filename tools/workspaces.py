"""Where the tools of an execution work: its session's own directory, or one the operator lists."""

import asyncio
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

from domain import working_directories
from domain.errors import ToolInputError
from domain.mcp_tools import RemoteScope
from domain.tool_calls import ToolInvocation
from domain.workspace_paths import identity_of
from tools.copying import DEEPEST, copy_tree
from tools.launch import PATH
from tools.paths import Workspace

_CLOSED = 0o700

NO_FILES = (
    "(The conversation from which this one was forked has no files on this host, so the workspace "
    "was empty at the start.)\n"
)
SOME_FILES = (
    "(Of the files of the conversation from which this one was forked, those that can't be read "
    f"and those below {DEEPEST} levels of directories were not copied.)\n"
)
NOT_COPIED = "The files of the conversation from which this one was forked can't be copied"


@dataclass(frozen=True, slots=True)
class Site:
    """A workspace, and a note about it for the model, before the call's output."""

    workspace: Workspace
    note: str = ""
    refusal: str | None = None
    """Why it is not writable."""


class Workspaces:
    """The directories of one host's sessions. Each is created when its first tool runs."""

    def __init__(self, root: Path, *, owner: int | None, listed: Sequence[Path]) -> None:
        """`owner` is the user for commands, None for our own. Tasks may use `listed` directories.

        `root` and its private directory are on one file system; they are created if missing.
        """
        self._root = root.absolute()
        self._owner = owner
        self._listed = listed
        self.private = self._root / ".private"
        self.private.mkdir(mode=_CLOSED, parents=True, exist_ok=True)
        self._copying: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    def of_session(self, session_id: UUID) -> Path:
        """The session's workspace, created if missing, without access for other users."""
        return self._make(self._root / str(session_id))

    def probe(self) -> Workspace:
        """A workspace without files, for checks."""
        return self._at(self._make(self.private / "probe"))

    async def site(self, invocation: ToolInvocation | RemoteScope) -> Site:
        """The workspace of a call, or of the MCP servers of an execution.

        Raises:
            ToolInputError: the task's directory can't be used, with what to do.
        """
        if invocation.working_directory is not None:
            return await asyncio.to_thread(self._listed_site, invocation.working_directory)
        note = ""
        if invocation.forked_from_session_id is not None:
            note = await self._copy_origin(invocation.session_id, invocation.forked_from_session_id)
        return Site(self._at(self.of_session(invocation.session_id)), note)

    def _at(self, path: Path) -> Workspace:
        return Workspace(path, self.private, self._owner)

    def _make(self, path: Path) -> Path:
        path.mkdir(mode=_CLOSED, exist_ok=True)
        if self._owner is not None and path.stat().st_uid != self._owner:
            os.chown(path, self._owner, self._owner)
        return path

    async def remove(self, session_id: UUID) -> None:
        """Delete the session's workspace, if it exists, however deep its directories are."""
        path = self._root / str(session_id)
        process = await asyncio.create_subprocess_exec("rm", "-rf", "--", path, env={"PATH": PATH})
        await process.wait()
        if path.exists():
            raise OSError(f"{path} can't be deleted")

    # --- forks --------------------------------------------------------------------------------

    async def _copy_origin(self, session_id: UUID, origin: UUID) -> str:
        """Copy the current files of a fork's origin into its workspace, once; returns the note.

        The copy is made elsewhere and then moved into place, so that it is never incomplete.
        """
        target, source = self._root / str(session_id), self._root / str(origin)
        async with self._copying.setdefault(session_id, asyncio.Lock()):
            if target.exists():
                return ""
            if not source.exists():
                return NO_FILES
            is_whole = await asyncio.to_thread(self._copy, source, target)
            return "" if is_whole else SOME_FILES

    def _copy(self, source: Path, target: Path) -> bool:
        """Copy; returns whether the copy is whole."""
        aside = self.private / f"copy-{target.name}"
        shutil.rmtree(aside, ignore_errors=True)  # an incomplete copy of a killed worker
        try:
            is_whole = copy_tree(source, aside, owner=self._owner)
            aside.rename(target)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            reason = os.strerror(error.errno or 0)
            raise ToolInputError(f"{NOT_COPIED} ({reason}).") from error
        return is_whole

    # --- directories that the operator lists --------------------------------------------------

    def _listed_site(self, path: str) -> Site:
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
