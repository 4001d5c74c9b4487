"""The built-in tools of one worker; it runs every tool call."""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from domain.errors import SandboxUnavailableError, ToolInputError
from domain.mcp.tools import RemoteScope
from domain.rules.entries import MEMORY_FILES, MEMORY_TOOLS, READ_ARTIFACT, WEB_TOOLS
from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.calls import (
    OnStarted,
    ProcessIdentity,
    ToolEffect,
    ToolInvocation,
    ToolOutcome,
    ToolSpec,
)
from domain.web.calls import HTTP_REQUEST, WEB_FETCH
from domain.web.connections import ConnectionLog
from domain.workspaces.snapshots import WorkspaceSnapshot, WorkspaceVersion
from tools.artifacts import ArtifactStore, read_artifact, save_artifact
from tools.changes import list_changed
from tools.disk import WorkspaceDisk
from tools.files import edit_file, read_file, write_file
from tools.launch import Confinement, Unprotected
from tools.limits import ToolLimits, describe_size
from tools.listing import list_files
from tools.memory import MemoryTools
from tools.memory_files import MemoryFiles
from tools.network import SandboxNetwork, journal_of, read_journal
from tools.output import printable
from tools.paths import Workspace
from tools.processes import end_group
from tools.sandbox import Bubblewrap
from tools.shell import Shell
from tools.specs import input_problem
from tools.stores import ToolStores
from tools.web.access import WebAccess
from tools.web.fetching import WebFetch
from tools.web.requests import HttpRequests
from tools.workspaces import Site, Workspaces

_LEFTOVERS_SECONDS = 7 * 24 * 3600
"""Age at which private files are deleted (chosen: the mark of an edit is needed as long as its call
may be repeated; other files are left only by killed workers)."""

_WRITERS = frozenset({"write_file", "edit_file"})
"""Tools that always write; a command may only read."""

_STORERS = WEB_TOOLS | {"save_artifact"}
"""Tools that may save an artifact, and don't change the workspace."""

Result = TypeVar("Result")
_Runs = Callable[[Workspace, ToolInvocation, OnStarted], Awaitable[ToolOutcome]]


class Toolbox:
    """Runs built-in tools in the workspaces of one host."""

    def __init__(
        self,
        workspaces: Path,
        *,
        host_id: str,
        sandbox: Literal["auto", "bubblewrap", "none"] = "auto",
        limits: ToolLimits | None = None,
        working_directories: Sequence[Path] = (),
        stores: ToolStores | None = None,
        web: WebAccess | None = None,
        network: SandboxNetwork | None = None,
    ) -> None:
        """`workspaces` is a directory on one file system, created if missing, for one host.

        Tasks may use a directory below one of `working_directories`. Without `web`, there are no
        tools for the web; without `network`, commands in the sandbox have no network.
        """
        self._stores = stores or ToolStores()
        self._changed: set[UUID] = set()
        """Sessions whose workspaces have to be measured."""
        self._unsaved: set[UUID] = set()
        """Sessions whose workspaces have to be saved."""
        self.limits = limits or ToolLimits()
        self._host_id = host_id
        self._is_sandboxed = sandbox != "none"
        self._confinement = _confine(self.limits, is_sandboxed=self._is_sandboxed)
        self.workspaces = Workspaces(
            workspaces,
            owner=self._confinement.owner,
            listed=working_directories,
            store=self._stores.snapshots,
        )
        _delete_leftovers(self.workspaces.private)
        self._disk = WorkspaceDisk(self.limits)
        self.shell = Shell(
            self._confinement,
            host_id=host_id,
            limits=self.limits,
            disk=self._disk,
            network=network if self._is_sandboxed else None,
        )
        # One call at a time reads, changes and writes files in each session.
        self._writing: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._tools = self._runs(web)

    def _runs(self, web: WebAccess | None) -> dict[str, _Runs]:
        """What runs each tool, by name."""
        tools: dict[str, _Runs] = {
            "bash": self.shell.bash,
            "read_file": self._read_file,
            "write_file": self._write_file,
            "edit_file": self._edit_file,
            "list_files": self._list_files,
            "search_files": self.shell.search,
            "save_artifact": self._save_artifact,
        }
        if web is not None:
            tools[WEB_FETCH] = WebFetch(web, self.limits).run
            tools[HTTP_REQUEST] = HttpRequests(web, self.limits).run
        if (memory := self._stores.memory) is not None:
            tools |= _memory_runs(MemoryTools(memory, self.limits))
            tools[MEMORY_FILES] = MemoryFiles(memory.files, self.limits).run
        if (artifacts := self._stores.artifacts) is not None:
            tools[READ_ARTIFACT] = partial(self._read_artifact, artifacts)
        return tools

    def spec(self, name: str) -> ToolSpec | None:
        """The tool of that name, or None. Without a sandbox, commands can change anything."""
        spec = BUILTIN_TOOLS.get(name) if name in self._tools else None
        if spec is None or self._is_sandboxed or spec.effect is not ToolEffect.WORKSPACE:
            return spec
        return replace(spec, effect=ToolEffect.EXTERNAL)

    def input_problem(self, name: str, tool_input: object) -> str | None:
        """Why the input does not match the tool's schema, as a sentence for the model, or None."""
        return input_problem(name, tool_input)

    def workspace(self, session_id: UUID, epoch: int = 0) -> Path:
        """The session's workspace, created if missing, without access for other users."""
        return self.workspaces.create(session_id, epoch)

    async def run(self, invocation: ToolInvocation, *, on_started: OnStarted) -> ToolOutcome:
        """Run one call until it ends. A mistake of the model's is an error outcome.

        `on_started` is awaited before the first effect; read-only tools don't call it. Cancelling
        ends the call's processes and waits for their end.

        Raises:
            SandboxUnavailableError: commands can't be sandboxed on this host, with the reason.
        """
        if problem := input_problem(invocation.name, invocation.input):
            return ToolOutcome(printable(problem), is_error=True)
        note = ""
        try:
            site = await self.workspaces.site(invocation)
            note = site.note
            _require_writable(site, invocation.name)
            run = self._tools[invocation.name]
            room = (
                await self._stores.room(invocation.user_id) if self._can_store(invocation) else None
            )
            workspace = replace(site.workspace, rules=invocation.path_rules, user_room=room)
            try:
                outcome = await run(workspace, invocation, on_started)
            finally:
                self._note_change(invocation)
        except ToolInputError as error:
            return ToolOutcome(printable(f"{note}{error.detail}"), is_error=True)
        hint = f"\n({site.refusal})" if site.refusal and outcome.is_error else ""
        return replace(outcome, text=printable(f"{note}{outcome.text}{hint}"))

    async def end_process(self, identity: ProcessIdentity) -> None:
        """End a process group that an earlier attempt left running here, and wait for its end."""
        await end_group(identity, host_id=self._host_id)

    async def list_changed(self, invocation: ToolInvocation, since: datetime) -> Sequence[str]:
        """Return the paths in the task's directory that were changed since then (`changes`)."""
        try:
            site = await self.workspaces.site(invocation)
            workspace = replace(site.workspace, rules=invocation.path_rules)
            return await asyncio.to_thread(list_changed, workspace, since)
        except ToolInputError:
            return ()  # the call itself reports why the directory can't be used

    async def list_connections(self, invocation: ToolInvocation) -> ConnectionLog:
        """Return what an interrupted call connected to, as far as this host knows."""
        journal = journal_of(self.workspaces.private, invocation)
        return await asyncio.to_thread(read_journal, journal)

    async def forget_connections(self, invocation: ToolInvocation) -> None:
        """Delete what `list_connections` returns, because it is recorded with the call."""
        journal = journal_of(self.workspaces.private, invocation)
        await asyncio.to_thread(journal.unlink, missing_ok=True)

    def _can_store(self, invocation: ToolInvocation) -> bool:
        """Whether the call may store files; notes that its workspace has to be measured."""
        if invocation.name in _STORERS:
            return True
        effect = BUILTIN_TOOLS[invocation.name].effect
        if effect is ToolEffect.READ_ONLY or invocation.name in MEMORY_TOOLS:
            return False
        if invocation.working_directory is None:
            self._changed.add(invocation.session_id)
        return True

    def _note_change(self, invocation: ToolInvocation) -> None:
        """Note that the call may have changed the workspace; only now, because it has ended."""
        if invocation.name not in _STORERS and self._can_store(invocation):
            self.note_change(invocation.session_id, invocation.working_directory)

    def note_change(self, session_id: UUID, working_directory: str | None) -> None:
        """Note that a call that has ended may have changed the session's workspace."""
        if working_directory is None:
            self._unsaved.add(session_id)

    async def save_workspace(
        self, session_id: UUID, version: WorkspaceVersion, *, is_changed: bool = False
    ) -> WorkspaceSnapshot | None:
        """Store the files that calls have changed since the snapshot of this version.

        None if no call has changed any. `is_changed`: an interrupted call may have changed some.

        Raises:
            WorkspaceNotSavedError: they can't be saved, with the reason.
        """
        if not (is_changed or session_id in self._unsaved):
            return None
        self._unsaved.discard(session_id)
        try:
            return await self.workspaces.save(session_id, version)
        except BaseException:
            self._unsaved.add(session_id)
            raise

    async def site_of(self, scope: RemoteScope) -> Site:
        """The workspace for programs of MCP servers, which may change it.

        Raises:
            ToolInputError: the task's directory can't be used, with what to do.
        """
        site = await self.workspaces.site(scope)
        room = await self._stores.room(scope.user_id)
        if scope.working_directory is None:
            self._changed.add(scope.session_id)
        return replace(site, workspace=replace(site.workspace, user_room=room))

    async def measure(self, session_id: UUID, epoch: int = 0) -> int | None:
        """The size of a session's workspace, if calls may have changed it since the last time."""
        if session_id not in self._changed:
            return None
        self._changed.discard(session_id)
        # It is not created: an empty directory would not be restored.
        path = self.workspaces.find(session_id, epoch)
        return None if path is None else await self._disk.measure(path)

    async def remove(self, epochs: Mapping[UUID, int | None]) -> None:
        """Delete the directories of sessions: all of them, or those of earlier epochs only."""
        await self.workspaces.remove(epochs)

    async def delete_abandoned_restores(self) -> None:
        """Delete what restores that were killed have left behind."""
        await self.workspaces.delete_abandoned_restores()

    async def list_sessions(self) -> Sequence[UUID]:
        """Return the sessions that have directories on this host."""
        return await asyncio.to_thread(self.workspaces.list_sessions)

    async def probe(self) -> str | None:
        """Why commands can't run on this host, and what to do, or None. Runs `true`."""
        try:
            await self.shell.check(self.workspaces.probe())
        except SandboxUnavailableError as error:
            return error.detail
        return None

    async def _read_file(
        self, workspace: Workspace, invocation: ToolInvocation, _: OnStarted
    ) -> ToolOutcome:
        text = await asyncio.to_thread(read_file, workspace, invocation.input, self.limits)
        return ToolOutcome(text)

    async def _list_files(
        self, workspace: Workspace, invocation: ToolInvocation, _: OnStarted
    ) -> ToolOutcome:
        text = await asyncio.to_thread(list_files, workspace, invocation.input, self.limits)
        return ToolOutcome(text)

    async def _write_file(
        self, workspace: Workspace, invocation: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        async with self._lock(invocation.session_id):
            await self._require_room(workspace, invocation.input["content"])
            await on_started(None)
            return ToolOutcome(
                await _run_in_thread(lambda: write_file(workspace, invocation.input))
            )

    async def _edit_file(
        self, workspace: Workspace, invocation: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        call = _call_key(invocation)
        async with self._lock(invocation.session_id):
            await self._require_room(workspace, invocation.input["new_text"])
            await on_started(None)
            text = await _run_in_thread(
                lambda: edit_file(workspace, invocation.input, self.limits, call=call)
            )
        return ToolOutcome(text)

    async def _save_artifact(
        self, workspace: Workspace, invocation: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        await on_started(None)
        file = await _run_in_thread(lambda: save_artifact(workspace, invocation.input, self.limits))
        text = f"Saved {file.name} ({file.size_bytes:,} bytes)."
        return ToolOutcome(text, artifacts=(file,))

    async def _read_artifact(
        self, artifacts: ArtifactStore, _: Workspace, invocation: ToolInvocation, __: OnStarted
    ) -> ToolOutcome:
        return await read_artifact(artifacts, invocation, self.limits)

    async def _require_room(self, workspace: Workspace, text: str) -> None:
        if await self._disk.room(workspace) < len(text.encode("utf-8", "replace")):
            raise ToolInputError(
                "The workspace, its disk or the user's storage is full "
                f"(a workspace has {describe_size(self.limits.workspace_bytes)}). Delete files "
                "with bash first."
            )

    def _lock(self, session_id: UUID) -> asyncio.Lock:
        return self._writing.setdefault(session_id, asyncio.Lock())


def _confine(limits: ToolLimits, *, is_sandboxed: bool) -> Confinement:
    return Bubblewrap(limits) if is_sandboxed else Unprotected(limits)


def _memory_runs(tools: MemoryTools) -> dict[str, _Runs]:
    return {
        "memory_get": tools.get,
        "memory_search": tools.search,
        "memory_add": tools.add,
        "memory_update": tools.update,
        "memory_delete": tools.delete,
    }


def _require_writable(site: Site, name: str) -> None:
    if site.refusal is not None and name in _WRITERS:
        raise ToolInputError(site.refusal)


async def _run_in_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work in a thread. A cancellation waits until the work has ended."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _call_key(invocation: ToolInvocation) -> str:
    """An identifier of the call, for file names."""
    parts = [str(invocation.execution_id), invocation.tool_use_id, dict(invocation.input)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _delete_leftovers(private: Path) -> None:
    oldest = time.time() - _LEFTOVERS_SECONDS
    for entry in os.scandir(private):
        if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest:
            Path(entry.path).unlink(missing_ok=True)
