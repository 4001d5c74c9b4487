"""One part: a process that ends with this one, writes to a log and reports when it is ready."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cli.exits import CommandError, Exit
from cli.stack import launch

# It polls a file, a socket or an exit code on this machine for the second or two of a start.
POLL_SECONDS = 0.02
LOG_TAIL_LINES = 15


class PartFailedError(CommandError):
    """A part did not become ready; the message has the reason and the end of its log."""

    exit = Exit.FAILED


class ProgramFailedError(PartFailedError):
    """A short-lived program failed; `output` is what it printed."""

    def __init__(self, message: str, output: str, advice: str = "") -> None:
        """`advice` is what to do if the output does not make it clear."""
        super().__init__(message)
        self.output = output
        self.advice = advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How to run one program of the stack.

    `is_ready` gets the process id and is polled. `prepare` runs before each start.
    `stop_seconds` is how long it may take to stop, `death_signal` what it gets when the supervisor
    is killed.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[int], Awaitable[bool]]
    log: Path
    start_seconds: float
    stop_seconds: float
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    identity: str = launch.SELF
    prepare: Callable[[], None] | None = None


def tie_to_parent(command: Sequence[str], death_signal: signal.Signals, identity: str) -> list[str]:
    """The command line that runs `command` as `identity` until this process ends."""
    launcher = [sys.executable, "-I", "-S", launch.__file__]
    return [*launcher, str(os.getpid()), str(int(death_signal)), identity, *command]


class Process(Protocol):
    """A child process; `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def returncode(self) -> int | None:
        """None while it runs; a negative number is the signal that ended it."""
        ...

    async def wait(self) -> int:
        """Wait for its end."""
        ...

    def send_signal(self, signal: int, /) -> None:
        """Send a signal, unless it has ended."""
        ...


class RunningPart:
    """One start of a part, until it has ended."""

    def __init__(self, part: Part, process: Process) -> None:
        """Use `start`."""
        self.part = part
        self._process = process

    @classmethod
    async def start(cls, part: Part, process: Process | None = None) -> "RunningPart":
        """Start it, unless it runs as `process`, and wait until it is ready.

        Raises:
            PartFailedError: it ended or took too long; it does not run any more.
        """
        if part.prepare:
            part.prepare()
        running = cls(part, process or await _spawn(part))
        try:
            await running._ready()
        except BaseException:
            running.kill()
            await running.wait()
            raise
        return running

    @property
    def pid(self) -> int:
        """The process id of the program itself."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for its end; a negative number is the signal that ended it."""
        code = await self._process.wait()
        self.kill()  # the processes that it started
        return code

    async def stop(self) -> None:
        """Stop it, and kill it if it takes too long."""
        with suppress(ProcessLookupError):
            self._process.send_signal(self.part.stop_signal)
        try:
            await asyncio.wait_for(self.wait(), self.part.stop_seconds)
        except TimeoutError:
            self.kill()
            await self.wait()

    def kill(self) -> None:
        """Kill it and the processes that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + self.part.start_seconds
        while not await self.part.is_ready(self.pid):
            if self._process.returncode is not None:
                raise self._make_error(describe_exit(self._process.returncode))
            if asyncio.get_running_loop().time() > deadline:
                raise self._make_error(f"was not ready after {self.part.start_seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    def _make_error(self, reason: str) -> PartFailedError:
        tail = read_tail(self.part.log)
        return PartFailedError(f"{self.part.name} {reason}. Its log, {self.part.log}:\n{tail}")


def describe_exit(code: int) -> str:
    """Describe an exit code."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"exited with code {code}"


def read_tail(log: Path) -> str:
    """The end of a log, indented."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])


async def run_to_end(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    identity: str = launch.SELF,
    text: str = "",
) -> None:
    """Run a short-lived program with `text` as its input.

    Raises:
        ProgramFailedError: it failed; the message has its output.
    """
    process = await asyncio.create_subprocess_exec(
        *tie_to_parent(command, signal.SIGKILL, identity),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate(text.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        words = output.decode(errors="replace").strip()
        name = " ".join(Path(word).name for word in command[:4])
        message = f"{name} {describe_exit(process.returncode)}:\n{words}"
        raise ProgramFailedError(message, words)


async def _spawn(part: Part) -> asyncio.subprocess.Process:
    part.log.parent.mkdir(parents=True, exist_ok=True)
    with part.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *tie_to_parent(part.command, part.death_signal, part.identity),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(part.environment),
            # Its own session: Ctrl-C reaches the supervisor only, which stops the parts in order.
            start_new_session=True,
        )
