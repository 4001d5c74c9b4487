"""The tools that start processes: `bash`, and `search_files`, which uses `grep`."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from domain.errors import SandboxUnavailableError, ToolInputError
from domain.tools.builtin import MAX_COMMAND_BYTES
from domain.tools.calls import OnStarted, ProcessIdentity, ToolInvocation, ToolOutcome
from domain.web.connections import NO_CONNECTIONS, describe_refused
from domain.web.network import NO_NETWORK, NetworkList
from domain.workspaces.paths import Identity, identity_of
from tools.commands import HeldCommand, hold_command
from tools.disk import WorkspaceDisk
from tools.launch import Confinement, HeldJob
from tools.limits import ToolLimits
from tools.network import OpenedNetwork, SandboxNetwork, journal_of
from tools.output import Spool, encode, show
from tools.paths import Workspace
from tools.priorities import ProcessorShares
from tools.processes import read_started_ticks, tree_of
from tools.search import SPOOL_BYTES, format_matches, grep
from tools.watchdog import Watchdog

_BASH = shutil.which("bash", path="/usr/bin:/bin") or "/bin/sh"
_NO_ROOM = (
    "\n(The workspace, its disk or the user's storage is full, so files can't grow. Delete files "
    "first.)"
)
_PROBE_USER = UUID(int=0)
_PROBE_NETWORK = NetworkList.parse(["localhost"])
_NEVER_TICKS = 0
"""The start time for a process that has ended already; no process matches it."""


class Shell:
    """Runs commands in workspaces. Each is held until it was recorded."""

    def __init__(
        self,
        confinement: Confinement,
        *,
        host_id: str,
        limits: ToolLimits,
        disk: WorkspaceDisk,
        network: SandboxNetwork | None = None,
    ) -> None:
        """`host_id` is recorded with every process. Without a `network`, commands have none."""
        self._network = network
        self._confinement = confinement
        self._host_id = host_id
        self._limits = limits
        self._disk = disk
        self._watchdog = Watchdog(limits, disk)
        self._shares = ProcessorShares()

    async def bash(
        self, workspace: Workspace, invocation: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        """Run a command. Its process group is recorded before it runs."""
        argv = [_BASH, "-c", _command(invocation)]
        room = await self._disk.room(workspace)
        allowed = self.network_of(invocation.network)
        job = HeldJob(argv, workspace.root, file_bytes=room, network=allowed)
        journal = journal_of(workspace.private, invocation)
        seconds = invocation.input.get("timeout_seconds", self._limits.command_seconds)
        with Spool(workspace.private, self._limits.stored_bytes(workspace.user_room)) as spool:
            async with (
                self.hold(job, spool, workspace, invocation.user_id) as command,
                self.connect(command, job, journal) as network,
            ):
                await on_started(self.identity(command))
                command.release()
                exit_code = await command.end_within(seconds)
            if command.stopped_because is not None:
                ending = f"[{command.stopped_because}]"
            elif exit_code is None:
                ending = f"[ended after {seconds:g} s, its time-out]"
            else:
                ending = f"[exit code {exit_code}]"
            if room <= 0:
                ending += _NO_ROOM
            connections = NO_CONNECTIONS if network is None else network.rest
            if refused := describe_refused(connections):
                ending = f"{refused}\n{ending}"
            outcome = await asyncio.to_thread(self._outcome, spool, ending, is_error=exit_code != 0)
        return replace(outcome, connections=connections)

    async def search(
        self, workspace: Workspace, invocation: ToolInvocation, _: OnStarted
    ) -> ToolOutcome:
        """Search for a regular expression; the workspace is read-only for the command."""
        argv = await asyncio.to_thread(grep, workspace, invocation.input)
        job = HeldJob(argv, workspace.root, may_write=False)
        with Spool(workspace.private, SPOOL_BYTES) as spool:
            async with self.hold(job, spool, workspace, invocation.user_id) as command:
                command.release()
                exit_code = await command.end_within(self._limits.search_seconds)
            if exit_code is None:
                raise ToolInputError(
                    f"The search took longer than {self._limits.search_seconds:g} s and was "
                    "ended. Narrow the path or the glob, or use a simpler pattern."
                )
            return ToolOutcome(await asyncio.to_thread(format_matches, spool, exit_code, workspace))

    async def check(self, workspace: Workspace) -> None:
        """Run `true` in the same way as commands, with network if there is any.

        Raises:
            SandboxUnavailableError: commands can't be run, with the reason.
        """
        with Spool(workspace.private, SPOOL_BYTES) as spool:
            job = HeldJob(["true"], workspace.root, network=self.network_of(_PROBE_NETWORK))
            async with (
                self.hold(job, spool, workspace, _PROBE_USER) as command,
                self.connect(command, job),
            ):
                command.release()
                await command.end_within(self._limits.launch_seconds)

    def network_of(self, allowed: NetworkList) -> NetworkList:
        """What commands here may connect to."""
        return NO_NETWORK if self._network is None else allowed

    @asynccontextmanager
    async def connect(
        self, command: HeldCommand, job: HeldJob, journal: Path | None = None
    ) -> AsyncIterator[OpenedNetwork | None]:
        """Open the proxy for a command, if it has network, while the block lasts."""
        if self._network is None or not job.network:
            yield None
            return
        async with self._network.open(command.leader, job.network, journal) as opened:
            if read_started_ticks(command.leader) != command.started_ticks:
                raise SandboxUnavailableError(
                    "The command ended before its network was open. Try again."
                )
            yield opened

    @asynccontextmanager
    async def hold(
        self, job: HeldJob, spool: Spool, workspace: Workspace, user_id: UUID
    ) -> AsyncIterator[HeldCommand]:
        """Start a command held, in exactly the directory that was checked."""
        seconds = self._limits.launch_seconds
        size_before = await self._disk.size(workspace)
        share = self._shares.make_share(user_id)
        async with hold_command(self._confinement, job, spool, launch_seconds=seconds) as command:
            _require_directory(command, workspace.identity)
            # Without a sandbox, the process that waits at the gate is a child of the leader.
            share.set_priority(tree_of(command.leader))
            try:
                async with self._watchdog.watching(command, workspace, size_before, share):
                    yield command
            finally:
                await command.end()
                share.charge(command.processor_seconds)

    def identity(self, command: HeldCommand) -> ProcessIdentity:
        """The process group of a command, as it is recorded."""
        return ProcessIdentity(self._host_id, command.leader, command.started_ticks or _NEVER_TICKS)

    def _outcome(self, spool: Spool, ending: str, *, is_error: bool) -> ToolOutcome:
        shown = show(spool, self._limits.preview_bytes)
        return ToolOutcome(
            text=f"{shown.text}\n{ending}" if shown.text else ending,
            is_error=is_error,
            whole_output=None if shown.is_whole else spool.save(is_text=shown.is_text),
        )


def _require_directory(command: HeldCommand, identity: Identity | None) -> None:
    """Refuse to run a command in another directory than the checked one."""
    if identity is None:
        return
    if identity_of(Path(f"/proc/{command.leader}/cwd").stat()) != identity:
        raise ToolInputError("The working directory was replaced. Try again.")


def _command(invocation: ToolInvocation) -> str:
    command: str = invocation.input["command"]
    if "\0" in command:
        raise ToolInputError("A command can't contain NUL.")
    if len(encode(command)) > MAX_COMMAND_BYTES:
        raise ToolInputError(
            f"A command has at most {MAX_COMMAND_BYTES:,} bytes. Write a file and run that."
        )
    return command
