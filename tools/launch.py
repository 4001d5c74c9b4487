"""Starts commands that are held until they are released; without a sandbox or with one.

A command waits for a line on its standard input, the gate. If the input ends first, because this
process died or gave up, the command never runs. A watch process ends the whole process group when
this process dies.
"""

import contextlib
import os
import resource
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from domain.errors import SandboxUnavailableError
from domain.web.network import NO_NETWORK, NetworkList
from tools.limits import ToolLimits

READY = b"ready\n"
"""Printed before the command waits at the gate; other output is the reason of a failure."""

GATE = "echo ready; read -r _ || exit\n"
"""Shell code that holds a command until it is released."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Search path for programs, with and without the sandbox."""

OOM_SCORE_ADJ = 800
"""Of at most 1000 (proc_pid_oom_score_adj(5)), so that even a small command is ended before a
database that uses most of the memory (chosen)."""

# Standard error is the lifeline, a pipe that only the worker can write to. Only the watch covers a
# sandbox that is being set up: one of its processes may wait forever for another that was killed,
# but it is still in this group.
#
# First, a high score makes the kernel end these processes before others when memory runs out. If
# it can't be set, they are as likely to be ended as the worker.
_WATCH = f"""
{{ echo {OOM_SCORE_ADJ} >/proc/self/oom_score_adj; }} 2>/dev/null
exec 3<&2 4<&0 2>&1 </dev/null
"$@" <&4 3<&- 4<&- & command=$!
{{ read -r _ <&3; kill -KILL 0; }} 4<&- & watch=$!
exec 3<&- 4<&-
wait "$command"; code=$?
kill -KILL "$watch"; wait "$watch" 2>/dev/null
exit "$code"
"""

# -f counts blocks of 512 bytes, -v KiB.
_LIMITS = """
ulimit -c 0 && ulimit -t {cpu_seconds} && ulimit -v {memory_kib} &&
ulimit -f {file_blocks} && ulimit -n {open_files} || exit
"""

_RUN = 'exec "$@" </dev/null\n'

DIALOGUE = "2>&1 >&0"
"""Redirections for a command that answers on the connection that is its standard input; its
messages for people go where the output of other commands goes."""

_RUN_DIALOGUE = f'exec "$@" {DIALOGUE}\n'


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A command to run in a workspace."""

    argv: Sequence[str]
    workspace: Path
    may_write: bool = True
    file_bytes: int | None = None
    """The largest file that it may write, if that is less than the limit of all commands."""
    is_dialogue: bool = False
    """Whether it reads and answers messages on `LaunchedProcess.connection`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables in addition to those of all commands."""
    programs: Sequence[Path] = ()
    """Directories of the host that it may read, besides those of the system."""
    network: NetworkList = NO_NETWORK
    """What it may connect to, through the proxy. Without a sandbox, nothing limits it."""


class LaunchedProcess:
    """A started process, with our ends of its pipes."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it in a new session and process group, with only this environment.

        Raises:
            SandboxUnavailableError: it can't be started.
        """
        # A socket, because commands in a dialogue also answer on it.
        gate_end, self.connection = socket.socketpair()
        lifeline_end, self._lifeline = os.pipe()
        self.output, output_end = os.pipe()
        self.processor_seconds = 0.0
        """What it took, including the processes that it waited for. Known after its end."""
        try:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "sh", *argv],
                stdin=gate_end.fileno(),
                stdout=output_end,
                stderr=lifeline_end,
                env=environment,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        except OSError as error:
            self.close()
            raise SandboxUnavailableError(describe_unavailable(str(error))) from error
        finally:
            gate_end.close()
            for end in (lifeline_end, output_end):
                os.close(end)

    def leader_pid(self) -> int:
        """The process with which all others end. Known once the command waits at the gate."""
        return self.process.pid

    def release(self) -> None:
        """Open the gate. If the process has ended already, its exit code contains the reason."""
        with contextlib.suppress(OSError):
            self.connection.send(b"\n")

    def close_gate(self) -> None:
        """Close the gate, so that the command never runs."""
        self.connection.close()

    def close(self) -> None:
        """Close every pipe."""
        self.close_gate()
        os.close(self._lifeline)
        os.close(self.output)


class Confinement(Protocol):
    """A way to start commands."""

    owner: int | None
    """The user that must own workspaces; None for the worker's user."""

    def launch(self, job: HeldJob) -> LaunchedProcess:
        """Start a command held.

        Raises:
            SandboxUnavailableError: commands can't be started on this host, with the reason.
        """


class Unprotected:
    """No sandbox: commands run as the worker's user, with limits. Operators must enable it.

    The number of processes is not limited, because the kernel would count all of that user's.
    """

    owner: int | None = None

    def __init__(self, limits: ToolLimits) -> None:
        """`limits` apply to each process."""
        self._limits = limits

    def launch(self, job: HeldJob) -> LaunchedProcess:
        """Start a command held."""
        run = _RUN_DIALOGUE if job.is_dialogue else _RUN
        script = limits_script(self._limits, job.file_bytes) + GATE + run
        argv = ["/bin/sh", "-c", script, "sh", *job.argv]
        home = {"HOME": str(job.workspace), "LANG": "C.UTF-8", "TERM": "dumb"}
        environment = {"PATH": PATH, **home, **job.environment}
        return LaunchedProcess(argv, environment, cwd=job.workspace)


def describe_unavailable(reason: str) -> str:
    """The message for operators: why there is no sandbox, and what to do."""
    return (
        f"The sandbox can't be created, so commands are refused ({reason.strip()}). Allow "
        "unprivileged user namespaces for the worker (in a container: the security_opt of the "
        "worker in docker-compose.yml; on Ubuntu: sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0), or set PERDURE_SANDBOX=none to run "
        "commands without a sandbox."
    )


def limits_script(limits: ToolLimits, file_bytes: int | None = None) -> str:
    """Shell code that sets the limits of each process, or exits."""
    file_bytes = limits.written_file_bytes if file_bytes is None else file_bytes
    file_bytes = max(min(file_bytes, limits.written_file_bytes), 0)
    return _LIMITS.format(
        cpu_seconds=limit_to_own(resource.RLIMIT_CPU, limits.cpu_seconds),
        memory_kib=limit_to_own(resource.RLIMIT_AS, limits.memory_bytes) // 1024,
        file_blocks=limit_to_own(resource.RLIMIT_FSIZE, file_bytes) // 512,
        open_files=limit_to_own(resource.RLIMIT_NOFILE, limits.open_files),
    )


def limit_to_own(kind: int, wanted: int) -> int:
    """A limit that can be set: not above the worker's own hard limit."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
