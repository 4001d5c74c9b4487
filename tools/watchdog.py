"""Ends a command whose processes together use too much memory, or that fills the disk.

It also charges the processor time of a command to its user, and lowers its priority.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tools.commands import HeldCommand
from tools.disk import WorkspaceDisk
from tools.limits import ToolLimits, describe_size
from tools.paths import Workspace
from tools.priorities import CommandShare
from tools.processes import memory_of, processor_seconds, tree_of

_EVERY_SECONDS = 0.2
"""Between checks: some hundred megabytes can be written meanwhile (chosen)."""

_SHARE = 20
"""A check may take this part of the time: with many processes there are fewer checks (chosen)."""


class Watchdog:
    """Watches commands while they run."""

    def __init__(self, limits: ToolLimits, disk: WorkspaceDisk) -> None:
        """`limits` contains those of a command as a whole."""
        self._memory_bytes = limits.command_memory_bytes
        self._disk = disk

    @asynccontextmanager
    async def watching(
        self, command: HeldCommand, workspace: Workspace, size_before: int, share: CommandShare
    ) -> AsyncIterator[None]:
        """Watch a command while the block runs. An error of the watch ends the command."""
        task = asyncio.create_task(self._watch(command, workspace, size_before, share))
        task.add_done_callback(
            lambda task: None if task.cancelled() or not task.exception() else command.stop("")
        )
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    async def _watch(
        self, command: HeldCommand, workspace: Workspace, size_before: int, share: CommandShare
    ) -> None:
        pause = _EVERY_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.perf_counter()
            processes = list(tree_of(command.leader))
            share.charge(sum(map(processor_seconds, processes)))
            share.set_priority(processes)
            reason = self._memory_problem(processes)
            if reason is None:
                reason = await self._disk.problem(workspace, size_before)
            if reason is not None:
                command.stop(f"ended, because {reason}")
                return
            pause = max(_EVERY_SECONDS, (time.perf_counter() - began) * _SHARE)

    def _memory_problem(self, processes: Sequence[int]) -> str | None:
        used = memory_of(processes, enough=self._memory_bytes)
        if used <= self._memory_bytes:
            return None
        return f"its processes use more than {describe_size(self._memory_bytes)} of memory"
