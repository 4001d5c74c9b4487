"""Disk space of workspaces: how much each uses, and how much more it may use.

A workspace is measured with `du`, but only if the free space of the disk has shrunk since the last
time: otherwise the workspace can't have grown, unless another one shrank as much.
"""

import asyncio
import os
import time
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

from tools.launch import PATH
from tools.limits import MIB, ToolLimits, describe_size
from tools.paths import Workspace

_UNNOTICED_BYTES = 8 * MIB
"""Growth that causes no measurement (chosen: other processes write, too)."""

_KNOWN_SECONDS = 30.0
"""After this time a workspace is measured again: another one may have shrunk (chosen)."""

_KNOWN_WORKSPACES = 1000
"""How many sizes are kept; the others are measured when they are needed (chosen)."""

_MEASURE_SECONDS = 20.0
"""`du` reads some 100,000 files in a second. A workspace that takes longer counts as full."""

_FEWEST_FILES = 10_000
"""Free inodes of the disk below which it counts as full (chosen)."""


@dataclass(frozen=True, slots=True)
class _Measured:
    size_bytes: int
    free_bytes: int
    at: float


class WorkspaceDisk:
    """Measures workspaces and compares them with the limits."""

    def __init__(self, limits: ToolLimits) -> None:
        """`limits` contains the size of a workspace and what is to stay free on its disk."""
        self._limits = limits
        self._known: dict[Path, _Measured] = {}

    async def size(self, workspace: Workspace) -> int:
        """The bytes on the disk; 0 for a directory of the operator, which has no limit."""
        if workspace.identity is not None:
            return 0
        root, free, now = workspace.root, _free_bytes(workspace.root), time.monotonic()
        known = self._known.get(root)
        if (
            known is not None
            and known.free_bytes - free < _UNNOTICED_BYTES
            and now - known.at < _KNOWN_SECONDS
        ):
            return known.size_bytes
        size = await self.measure(root)
        if len(self._known) >= _KNOWN_WORKSPACES:
            self._known.clear()
        self._known[root] = _Measured(size, free, now)
        return size

    async def room(self, workspace: Workspace) -> int:
        """How many bytes a call may add.

        0 or less: the workspace, its disk or the user's storage is full.
        """
        room = self._limits.workspace_bytes - await self.size(workspace)
        if workspace.user_room is not None and workspace.identity is None:
            room = min(room, workspace.user_room)
        return min(room, _free_bytes(workspace.root) - self._limits.reserved_disk_bytes)

    async def problem(self, workspace: Workspace, size_before: int) -> str | None:
        """Why a command has to end that began with this size of its workspace, or None."""
        size = await self.size(workspace)
        if size > max(self._limits.workspace_bytes, size_before):
            return f"the workspace has more than {describe_size(self._limits.workspace_bytes)}"
        is_full = _free_bytes(workspace.root) < self._limits.reserved_disk_bytes
        # Others may have filled the disk: a command that writes little may continue.
        if is_full and (workspace.identity or size > size_before + _UNNOTICED_BYTES):
            return "the disk of this machine is almost full"
        return None

    async def measure(self, root: Path) -> int:
        """Measure a directory now."""
        with os.scandir(root) as entries:
            if next(entries, None) is None:
                return 0
        process = await asyncio.create_subprocess_exec(
            *("du", "-sxB1", "."), cwd=root, stdout=PIPE, stderr=DEVNULL, env={"PATH": PATH}
        )
        try:
            async with asyncio.timeout(_MEASURE_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            return self._limits.workspace_bytes + 1
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        # An exit code above 0 means that entries were deleted meanwhile, or can't be read.
        return int(output.split(b"\t")[0] or 0)


def _free_bytes(path: Path) -> int:
    """Free space of a disk for us; none if almost no more files fit."""
    status = os.statvfs(path)
    if status.f_files > 0 and status.f_favail < min(_FEWEST_FILES, status.f_files // 20):
        return 0
    return status.f_bavail * status.f_frsize
