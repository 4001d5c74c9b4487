"""Processes the driver starts: they end with it, and say on stdout when they are ready."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from cli.stack import launch
from cli.stack.process import read_tail, tie_to_parent

READY_SECONDS = 180.0
"""A start takes a few seconds on two free cores, and twenty times that on a busy machine."""

STOP_SECONDS = 30.0
"""A worker that stops finishes its current step (chosen)."""

LINE_BYTES = 1024 * 1024
"""The longest line a child writes: the seconds of every execution of a flood."""

ROOT = Path(__file__).parents[1]


class ChildError(Exception):
    """A child ended or took too long; the message ends with its last words."""


class Child:
    """A program that runs in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Use `start`."""
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        log: Path,
        cwd: Path,
        python: str = sys.executable,
    ) -> Self:
        """Start `python -m module`; what it writes to stderr goes to `log`."""
        environment = {"PYTHONPATH": str(ROOT), **environment}
        command = [python, "-m", module, *arguments]
        return await cls.start_program(command, environment=environment, log=log, cwd=cwd)

    @classmethod
    async def start_program(
        cls, command: Sequence[str], *, environment: Mapping[str, str], log: Path, cwd: Path
    ) -> Self:
        """Start a program; what it writes to stderr goes to `log`."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *tie_to_parent(command, signal.SIGTERM, launch.SELF),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=LINE_BYTES,
                env={**os.environ, **environment},
                cwd=cwd,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def read(self, *, within: float | None = None) -> dict[str, Any]:
        """The next line it writes, which is JSON.

        Raises:
            ChildError: it ended, or nothing came in time.
        """
        message: dict[str, Any] = json.loads(await self.read_line(within=within))
        return message

    async def read_line(self, *, within: float | None = None) -> bytes:
        """The next line it writes.

        Raises:
            ChildError: it ended, or nothing came in time.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), within)
        except TimeoutError:
            raise ChildError(f"nothing came in {within} s:\n{read_tail(self._log)}") from None
        if not line:
            raise ChildError(f"it ended:\n{read_tail(self._log)}")
        return line

    async def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Send a line and return the line that answers it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.read()

    async def wait_until_finished(self) -> None:
        """Return when it has ended by itself, whatever it writes.

        Raises:
            ChildError: it failed.
        """
        await self._process.communicate()
        if self._process.returncode:
            raise ChildError(f"it failed:\n{read_tail(self._log)}")

    async def stop(self) -> None:
        """Ask it to stop, and end it when it takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """End it without asking."""
        self._process.kill()
        await self._process.wait()


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory that is deleted when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="perdure-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def scripted_model(directory: Path) -> AsyncIterator[tuple[Child, str]]:
    """A scripted model and its address."""
    log = directory / "model.log"
    model = await Child.start("claude.scripted", environment={}, log=log, cwd=directory)
    try:
        yield model, (await model.read(within=READY_SECONDS))["base_url"]
    finally:
        await model.stop()
