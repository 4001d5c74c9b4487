"""Running a command: hold it at the gate, put it on record, let it go, see it end."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.errors import SandboxUnavailableError
from tools.gate import READY, Confinement, Job, Launched, unavailable
from tools.output import Spool, decoded
from tools.processes import exit_of, kill_group

_CHUNK_BYTES = 65_536
"""One read: the size of a pipe."""

_COMPLAINT_BYTES = 2000
"""How much of what was printed before the gate is kept to explain a failure."""

_GIVING_UP_SECONDS = 1.0
"""How long a launch that was given up may take to notice that its gate is closed; alone, 20 ms."""


class _Reader:
    """Takes what a process group prints: first the gate's word, then output for the spool."""

    def __init__(self, pipe: int, spool: Spool) -> None:
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.complaint = b""
        self._pipe = pipe
        self._spool = spool
        os.set_blocking(pipe, False)
        asyncio.get_running_loop().add_reader(pipe, self._read)

    def _read(self) -> bool:
        """Take one chunk; False when there is none (now, or any more)."""
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
        """Take what is still in the pipe, which one read does.

        Its end is not waited for: an unprotected command may have left the pipe to a process that
        made itself a group of its own.
        """
        self._read()
        asyncio.get_running_loop().remove_reader(self._pipe)


class HeldCommand:
    """A command at its gate, or past it. `leader` is the process whose end ends all of it."""

    def __init__(self, launched: Launched, exited: asyncio.Future[None]) -> None:
        """`exited` is the end of the process that we started."""
        self.leader = launched.leader()
        self.let_go = launched.let_go
        self._process = launched.process
        self._exited = exited
        self._leader_exited = exit_of(self.leader)

    async def end_within(self, seconds: float) -> int | None:
        """The exit code, 128 + n after signal n; None if time was up and it was ended."""
        await asyncio.wait([self._exited], timeout=seconds)
        if not self._exited.done():
            return None
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    async def end(self) -> None:
        """SIGKILL to all of it, and wait until all of it is gone; harmless when it is."""
        if not self._leader_exited.done():
            kill_group(self.leader)
        await asyncio.wait([self._exited, self._leader_exited])


@asynccontextmanager
async def held(
    confinement: Confinement, job: Job, spool: Spool, *, launch_seconds: float
) -> AsyncIterator[HeldCommand]:
    """A command at its gate. However the context is left, nothing of it is left running.

    Raises:
        SandboxUnavailableError: the gate could not be reached, and why.
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
    launched: Launched, reader: _Reader, exited: asyncio.Future[None], seconds: float
) -> None:
    reached = False
    reason = f"it was not set up within {seconds:g} s"
    try:
        async with asyncio.timeout(seconds):
            reached = await reader.ready
            reason = decoded(reader.complaint) or "it ended without a word"
    except TimeoutError:
        pass
    finally:
        if not reached:
            await _give_up(launched, exited)
    if not reached:
        raise SandboxUnavailableError(unavailable(reason))


async def _give_up(launched: Launched, exited: asyncio.Future[None]) -> None:
    """End a launch before its gate.

    It is let run into its closed gate, so that a half made sandbox takes itself down, and killed
    only if it doesn't come there.
    """
    launched.close_gate()
    await asyncio.wait([exited], timeout=_GIVING_UP_SECONDS)
    if not exited.done():
        kill_group(launched.process.pid)
        await asyncio.wait([exited])


def _reap(launched: Launched) -> None:
    """Take the exit code, after ending what an unprotected command left in its group.

    Until then the zombie keeps the group's number from being given to another.
    """
    kill_group(launched.process.pid)
    launched.process.wait()
