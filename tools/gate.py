"""Starting commands so that they are held at a gate, and the unprotected way to do it.

Nothing of a command runs until a line is written to its standard input; the end of that input
(this process died, or thought better) means that it never runs. Around it stands a watch that ends
the whole process group when this process dies.
"""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from domain.errors import SandboxUnavailableError
from tools.limits import ToolLimits

READY = b"ready\n"
"""What the gate prints before it waits; anything else is why it could not be reached."""

GATE = "echo ready; read -r _ || exit\n"
"""Shell that holds a command until it is let go."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for, in and out of the sandbox."""

# The lifeline, a pipe that only the worker can write to, comes as standard error. The watch is the
# one thing that covers a sandbox being set up: a process of it that waits for another that was
# killed would wait for good, dying with no parent, but it is still of this group.
_WATCH = """
exec 3<&2 4<&0 2>&1 </dev/null
"$@" <&4 3<&- 4<&- & command=$!
{ read -r _ <&3; kill -KILL 0; } 4<&- & watch=$!
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


@dataclass(frozen=True, slots=True)
class Job:
    """A command for a workspace."""

    argv: Sequence[str]
    workspace: Path
    may_write: bool = True


class Launched:
    """A process on its way to the gate, with our ends of its pipes."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it in a session and a group of its own, with only this environment.

        Raises:
            SandboxUnavailableError: it can't be started.
        """
        gate_end, self._gate = os.pipe()
        lifeline_end, self._lifeline = os.pipe()
        self.output, output_end = os.pipe()
        try:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "sh", *argv],
                stdin=gate_end,
                stdout=output_end,
                stderr=lifeline_end,
                env=environment,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        except OSError as error:
            self.close()
            raise SandboxUnavailableError(unavailable(str(error))) from error
        finally:
            for end in (gate_end, lifeline_end, output_end):
                os.close(end)

    def leader(self) -> int:
        """The pid whose end is the end of all of it. Known once the gate is reached."""
        return self.process.pid

    def let_go(self) -> None:
        """Open the gate. A process that has ended meanwhile is no error: its exit code tells."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, b"\n")

    def close_gate(self) -> None:
        """Shut the gate for good."""
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    def close(self) -> None:
        """Close every pipe."""
        self.close_gate()
        os.close(self._lifeline)
        os.close(self.output)


class Confinement(Protocol):
    """A way to start commands."""

    owner: int | None
    """The user that must own workspaces, where that is not the worker's own."""

    def launch(self, job: Job) -> Launched:
        """Start towards the gate.

        Raises:
            SandboxUnavailableError: nothing can be started here, and why.
        """
        ...


class Unprotected:
    """No sandbox: the worker's own user, with limits. For operators who say so.

    Processes are not limited, since the kernel would count all others of that user too.
    """

    owner: int | None = None

    def __init__(self, limits: ToolLimits) -> None:
        """`limits` hold for each process."""
        self._script = limits_script(limits) + GATE + _RUN

    def launch(self, job: Job) -> Launched:
        """Start towards the gate."""
        argv = ["/bin/sh", "-c", self._script, "sh", *job.argv]
        home = {"HOME": str(job.workspace), "LANG": "C.UTF-8", "TERM": "dumb"}
        return Launched(argv, {"PATH": PATH, **home}, cwd=job.workspace)


def unavailable(reason: str) -> str:
    """The sentence for operators: why there is no sandbox and what to do about it."""
    return (
        f"No sandbox can be made here, so commands are refused ({reason.strip()}). Allow "
        "unprivileged user namespaces to the worker (in Docker: --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --security-opt systempaths=unconfined; on Ubuntu: "
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0), or set PERDURE_SANDBOX=none to "
        "run commands without protection."
    )


def limits_script(limits: ToolLimits) -> str:
    """Shell that sets the limits of each process, or ends."""
    return _LIMITS.format(
        cpu_seconds=limits.cpu_seconds,
        memory_kib=limits.memory_bytes // 1024,
        file_blocks=limits.written_file_bytes // 512,
        open_files=limits.open_files,
    )
