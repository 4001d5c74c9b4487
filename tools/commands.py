"""Runs a command: starts it held, so that it can be recorded, then releases it and waits."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.errors import SandboxUnavailableError
from tools.launch import READY, Confinement, HeldJob, LaunchedProcess, describe_unavailable
from tools.output import Spool, decode
from tools.processes import exit_of, kill_group, processor_seconds, read_started_ticks

_CHUNK_BYTES = 65_536
"""Size of one read: that of a pipe."""

_COMPLAINT_BYTES = 2000
"""How much of the output before the release is kept, to explain a failed launch."""

_GIVING_UP_SECONDS = 1.0
"""How long an abandoned launch may take to end by itself (chosen; on an idle machine 20 ms)."""


class _Reader:
    """Reads the output of a process group: first the ready line, then output for the spool."""

    def __init__(self, pipe: int, spool: Spool) -> None:
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.complaint = b""
        self._pipe = pipe
        self._spool = spool
        os.set_blocking(pipe, False)
        asyncio.get_running_loop().add_reader(pipe, self._read)

    def _read(self) -> bool:
        """Read a chunk; False if there is none now, or the output has ended."""
        try:
            chunk = os.read(self._pipe, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._pipe)
        self._take(chunk)
        return bool(chunk)

    def _take(self, chunk: bytes) -> None:
        if self.ready.done():
            self._spool.write(chunk)
            return
        self.complaint = (self.complaint + chunk)[:_COMPLAINT_BYTES]
        if self.complaint.startswith(READY):
            self.ready.set_result(True)
            self._spool.write(self.complaint.removeprefix(READY))
        elif not chunk:
            self.ready.set_result(False)

    def finish(self) -> None:
        """Read the rest of the output, which fits into one read.

        It does not wait for the end of the pipe: an unprotected command may have passed it to a
        process in another group.
        """
        self._read()
        asyncio.get_running_loop().remove_reader(self._pipe)


class HeldCommand:
    """A command that is held, or released. When its `leader` ends, all of its processes end."""

    def __init__(self, launched: LaunchedProcess, exited: asyncio.Future[None]) -> None:
        """`exited` is done when the started process has ended."""
        self.leader = launched.leader_pid()
        self.started_ticks = read_started_ticks(self.leader)
        """When the leader started, which distinguishes it from a later process with its id."""
        self.stopped_because: str | None = None
        """Why it was stopped, if it was."""
        self.connection = launched.connection
        """Our end of its standard input and output, if it is in a dialogue."""
        self._launched = launched
        self._process = launched.process
        self._exited = exited
        self._leader_exited = exit_of(self.leader)

    def release(self) -> None:
        """Let it run."""
        self._launched.release()

    async def end_within(self, seconds: float) -> int | None:
        """Wait for the exit code (128 + n after signal n); None if the time is over."""
        await asyncio.wait([self._exited], timeout=seconds)
        if not self._exited.done():
            return None
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    @property
    def processor_seconds(self) -> float:
        """The processor time it took. Known after its end; less if it was killed."""
        return self._launched.processor_seconds

    def stop(self, reason: str) -> None:
        """Kill all its processes, for a reason that the model reads."""
        self.stopped_because = reason
        kill_group(self.leader)

    async def end(self) -> None:
        """Kill all its processes and wait until they have ended. Harmless if they have already."""
        if not self._leader_exited.done():
            kill_group(self.leader)
        await asyncio.wait([self._exited, self._leader_exited])


@asynccontextmanager
async def hold_command(
    confinement: Confinement, job: HeldJob, spool: Spool, *, launch_seconds: float
) -> AsyncIterator[HeldCommand]:
    """Start a command held. When the context is left, all its processes have ended.

    Raises:
        SandboxUnavailableError: the command could not be started, with the reason.
    """
    launched = confinement.launch(job)
    exited = exit_of(launched.process.pid)
    exited.add_done_callback(lambda _: _reap(launched))
    reader = _Reader(launched.output, spool)
    try:
        await _reach_gate(launched, reader, exited, launch_seconds)
        command = HeldCommand(launched, exited)
        try:
            yield command
        finally:
            await command.end()
    finally:
        reader.finish()
        launched.close()


async def _reach_gate(
    launched: LaunchedProcess, reader: _Reader, exited: asyncio.Future[None], seconds: float
) -> None:
    reached = False
    reason = f"it was not set up within {seconds:g} s"
    try:
        async with asyncio.timeout(seconds):
            reached = await reader.ready
            reason = decode(reader.complaint) or "it ended without a word"
    except TimeoutError:
        pass
    finally:
        if not reached:
            await _give_up(launched, exited)
    if not reached:
        raise SandboxUnavailableError(describe_unavailable(reason))


async def _give_up(launched: LaunchedProcess, exited: asyncio.Future[None]) -> None:
    """End a launch before the command is held.

    The gate is closed first, so that an incomplete sandbox cleans up by itself; the processes are
    killed only if that takes too long.
    """
    launched.close_gate()
    await asyncio.wait([exited], timeout=_GIVING_UP_SECONDS)
    if not exited.done():
        kill_group(launched.process.pid)
        await asyncio.wait([exited])


def _reap(launched: LaunchedProcess) -> None:
    """Collect the exit code, after killing what an unprotected command left in its group.

    Until then the zombie process prevents that the group's number is used again.
    """
    kill_group(launched.process.pid)
    launched.processor_seconds = processor_seconds(launched.process.pid)
    launched.process.wait()
