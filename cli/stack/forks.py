"""Starts parts as forks of one process that has loaded the modules which they have in common.

The worker and the gateway have 60 MB of modules in common. Forks share that memory, and the modules
are loaded once, while the servers start. The process that loads them, `python -m cli.stack.forks`,
ends when it has forked, so that pages that both parts change do not exist a third time. The
supervisor adopts its children, which only Linux can do; elsewhere, and when a part is restarted,
parts are processes of their own from the beginning.
"""

import asyncio
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Self, TypedDict

from cli.stack.launch import SELF, die_with_parent
from cli.stack.parts import OWN_MODULE, own_module
from cli.stack.process import Part, tie_to_parent
from runtime.memory import freeze_loaded

PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36  # linux/prctl.h

_ARG_START = 45
"""Of the fields of `/proc/self/stat` after the name (proc_pid_stat(5), fields 48 and 49)."""

MODULES = (
    "composition",
    "runtime.schema_evaluation",
    "runtime.telemetry",
    "services.artifact_retention",
    "services.artifacts",
    "services.definitions.mcp_connections",
    "services.executions.answer_links",
    "services.executions.reconciling",
    "services.memory.entries",
    "services.notifications",
    "services.reports",
    "services.scheduling.scheduled_runs",
)
"""They import what the worker and the gateway have in common, and nothing else. Their import starts
no thread, connection or event loop, because these do not survive a fork."""

ADOPTION_POLL_SECONDS = 0.001
"""The parent of a fork ends as soon as it has forked."""

UNKNOWN_CODE = 255
"""As asyncio's, for a process whose exit code the kernel has not kept."""


class Fork(TypedDict):
    """A part to fork: its name, module and arguments, its environment and the path of its log."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: str


class AdoptedProcess:
    """A child that another process has started; as `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        """The process must be a child of this one."""
        self.pid = pid
        self._end = asyncio.get_running_loop().create_future()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    @property
    def returncode(self) -> int | None:
        """None while it runs; a negative number is the signal that ended it."""
        return self._end.result() if self._end.done() else None

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self._end)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if not self._end.done():
            os.kill(self.pid, number)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # SIGCHLD was ignored when we were started
            self._end.set_result(UNKNOWN_CODE)
        else:
            self._end.set_result(os.waitstatus_to_exitcode(status))


class Forks:
    """The process that loads modules, until it has forked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use `load`."""
        self._process = process

    @classmethod
    async def load(cls, environment: Mapping[str, str], log: Path) -> Self | None:
        """Start to load; None where the kernel can't do what this needs.

        Every fork can read `environment` as long as it runs (`/proc/self/environ`), even if its
        own one has less.
        """
        if not (hasattr(os, "pidfd_open") and _adopt_orphans(adopt=True)):
            return None
        log.parent.mkdir(parents=True, exist_ok=True)
        command = own_module(__name__, str(os.getpid()))
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *tie_to_parent(command, signal.SIGKILL, SELF),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                start_new_session=True,
            )
        return cls(process)

    async def start(self, parts: Sequence[Part]) -> dict[str, AdoptedProcess]:
        """Fork the parts once the modules are loaded, and return the processes by name.

        It returns none if the modules can't be loaded. Then the parts can't load them either.
        """
        requests: list[Fork] = [
            {
                "name": part.name,
                "command": list(part.command[len(OWN_MODULE) :]),
                "environment": dict(part.environment),
                "log": str(part.log),
            }
            for part in parts
        ]
        output, _ = await self._process.communicate(json.dumps(requests).encode())
        _adopt_orphans(adopt=False)
        pids = json.loads(output) if output else []
        return {part.name: AdoptedProcess(pid) for part, pid in zip(parts, pids, strict=False)}

    async def close(self) -> None:
        """End the process, if it has not forked."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def _adopt_orphans(*, adopt: bool) -> bool:
    """Whether orphans among our descendants become our children; False if that is impossible."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) == 0)


def _become(request: Fork, supervisor: int) -> NoReturn:
    """Be the part, as if the process had been started with its command line."""
    die_with_parent(supervisor, signal.SIGKILL)
    _rename(f"perdure-{request['name']}".encode())
    os.environ.clear()
    os.environ.update(request["environment"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, number)
    os.closerange(3, max(log, nothing) + 1)
    sys.argv = request["command"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    sys.exit()


def _rename(name: bytes) -> None:
    """Change what `top` and `ps -f` show; `stat` says where in memory the command line is."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    if 0 < start < end:
        ctypes.memmove(start, name.ljust(end - start, b"\0"), end - start)


def fork_parts(requests: Sequence[Fork], supervisor: int) -> list[int]:
    """Fork all parts, or none: the supervisor starts all of them if it gets no process ids.

    Raises:
        OSError: the kernel allows no further process.
    """
    parent = os.getpid()
    pids: list[int] = []
    for request in requests:
        try:
            pid = os.fork()
        except OSError:
            for forked in pids:
                os.kill(forked, signal.SIGKILL)
                os.waitpid(forked, 0)
            raise
        # A group of its own, whichever process runs first: the supervisor kills groups.
        os.setpgid(pid, pid)
        if pid == 0:
            while os.getppid() == parent:
                time.sleep(ADOPTION_POLL_SECONDS)
            _become(request, supervisor)
        pids.append(pid)
    return pids


def main() -> None:
    """Load the modules, fork the parts that the input names, print their process ids, and end."""
    gc.disable()  # until `freeze_loaded`
    for module in MODULES:
        importlib.import_module(module)
    freeze_loaded()  # otherwise collections of the forks would write to the shared memory
    requests: list[Fork] = json.loads(sys.stdin.buffer.read() or b"[]")
    os.write(1, json.dumps(fork_parts(requests, int(sys.argv[1]))).encode())
    os._exit(0)  # the modules need no clean-up


if __name__ == "__main__":
    main()
