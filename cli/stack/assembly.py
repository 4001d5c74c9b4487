"""The whole stack on one machine: its parts, their order, and `ready.json`."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib.resources import files
from typing import Any

from cli.exits import CommandError
from cli.stack import parts, postgres, temporal
from cli.stack.addresses import LOOPBACK, describe_listener, free_port, is_free
from cli.stack.forks import Forks
from cli.stack.home import Home
from cli.stack.postgres import Postgres
from cli.stack.process import Part, ProgramFailedError, run_to_end
from cli.stack.setup_failures import SetupFailedError
from cli.stack.supervisor import Supervisor
from cli.stack.temporal import Temporal
from cli.tokens import mint
from runtime.settings import Settings

# The token of ready.json is as private as the secret beside it; each start makes a new one.
TOKEN_LIVES = timedelta(days=365)
LOCAL_USER = "local"
# `persistence.executions.cached_reads.CONNECTIONS`, without loading the driver.
READ_CONNECTIONS = 4
FIRST_START = "; the first start creates a database and takes some seconds longer"


class PortInUseError(CommandError):
    """Another program listens on the port of a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of the parts; 0 means any free port."""

    api: int
    temporal: int = 7233
    temporal_ui: int = 8233
    db: int = 0


def max_connections(settings: Settings) -> int:
    """The connections that the embedded Postgres accepts: at least its default of 100.

    Each process has two pools and a connection that listens, a gateway also `READ_CONNECTIONS`.
    Twenty are for migrations, operators and the reserve of the server (chosen).
    """
    of_process = 2 * settings.database_pool_size + 1
    return max(100, (settings.worker_processes + 1) * of_process + READ_CONNECTIONS + 20)


class Stack:
    """Everything `perdure up` runs. The home must be held by the caller."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        ports: Ports,
        *,
        scripted_model: bool,
        report: Callable[[str], None],
    ) -> None:
        """Takes ports and makes secrets; starts nothing yet.

        Raises:
            PortInUseError: a port that was asked for is taken.
        """
        self._settings = settings
        self._home = home
        self._report = report
        self._supervisor = Supervisor(report=report, on_change=self._write_ready)
        self._forks: Forks | None = None
        self._is_ready = False
        taken = _PortTaker()
        self._api_port = taken.take(ports.api, "--api-port", settings.api_host)
        self._temporal = None
        if settings.temporal_address is None:
            self._temporal = Temporal(
                database=home.temporal_database,
                port=taken.take(ports.temporal, "--temporal-port"),
                ui_port=taken.take(ports.temporal_ui, "--temporal-ui-port"),
                http_port=taken.take(0),
                namespace=settings.temporal_namespace,
            )
        self._postgres = None
        if settings.database_url is None:
            home.ensure_secret(home.postgres_password_file)
            db_port = taken.take(ports.db, "--db-port")
            self._postgres = Postgres(
                home.postgres_data,
                db_port,
                home.postgres_password_file,
                options={"max_connections": str(max_connections(settings))},
            )
        self._scripted_port = taken.take(0) if scripted_model else None

    async def start(self) -> None:
        """Start every part and return when all are ready.

        Raises:
            PartFailedError: one could not be started; the caller stops the rest.
        """
        is_first = not self._home.migrated_file.exists()
        self._report(f"starting on {self._home.path}" + (FIRST_START if is_first else ""))
        if self._settings.worker_processes == 1:
            common = parts.without_model_keys(self._environment)
            self._forks = await Forks.load(common, self._home.log("worker"))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_database())
            group.create_task(self._start_temporal())
            group.create_task(self._start_scripted_model())
        self._report("the database and Temporal run; starting the worker and the gateway")
        ours = [self._worker(), self._gateway()]
        processes = await self._forks.start(ours) if self._forks else {}
        async with asyncio.TaskGroup() as group:
            for part in ours:
                group.create_task(self._supervisor.start(part, processes.get(part.name)))
        if self._temporal:
            self._temporal.record_attributes()
        self._is_ready = True
        self._write_ready()

    async def stop(self) -> None:
        """Stop the parts, servers last, and delete `ready.json`."""
        self._is_ready = False
        self._home.ready_file.unlink(missing_ok=True)
        if self._forks:
            await self._forks.close()
        await self._supervisor.stop("worker", "api")
        await self._supervisor.stop("postgres", "temporal", "scripted_model")

    def kill(self) -> None:
        """Make a running `stop` end at once."""
        self._supervisor.kill()

    @cached_property
    def api_url(self) -> str:
        """The gateway's address on this machine."""
        return f"http://{self._local_host}:{self._api_port}"

    @property
    def is_scripted(self) -> bool:
        """Whether the scripted model answers."""
        return self._scripted_port is not None

    @property
    def default_model(self) -> str:
        """The model that answers where a task names no other."""
        return self._settings.model

    @property
    def temporal_ui_url(self) -> str | None:
        """The address of Temporal's UI, if it is known."""
        return self._temporal.ui_url if self._temporal else self._settings.temporal_ui_url

    @cached_property
    def _local_host(self) -> str:
        host = self._settings.api_host
        return LOOPBACK if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound

    @cached_property
    def _database_url(self) -> str:
        if self._postgres:
            return self._postgres.url
        return str(self._settings.database_url)

    @cached_property
    def _temporal_address(self) -> str:
        return self._temporal.address if self._temporal else str(self._settings.temporal_address)

    @cached_property
    def _jwt_secret(self) -> str:
        given = self._settings.jwt_secret
        if given is not None:
            return given.get_secret_value()
        return self._home.ensure_secret(self._home.jwt_secret_file)

    @cached_property
    def _secrets_key(self) -> str:
        given = self._settings.secrets_key
        if given is not None:
            return given.get_secret_value()
        return self._home.ensure_secret(self._home.secrets_key_file)

    @cached_property
    def _token(self) -> str:
        return mint(self._jwt_secret, user=LOCAL_USER, role="admin", lives=TOKEN_LIVES)

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        """The environment of our parts: this process's own, and what they need."""
        given = {
            **parts.FEW_THREADS,
            "PERDURE_HOME": str(self._home.path),
            "PERDURE_DATABASE_URL": self._database_url,
            "PERDURE_TEMPORAL_ADDRESS": self._temporal_address,
            "PERDURE_API_HOST": self._settings.api_host,
            "PERDURE_API_PORT": str(self._api_port),
            "PERDURE_JWT_SECRET": self._jwt_secret,
            "PERDURE_SECRETS_KEY": self._secrets_key,
            "PERDURE_PUBLIC_URL": self._settings.public_url or self.api_url,
        }
        if self.temporal_ui_url:
            given["PERDURE_TEMPORAL_UI_URL"] = self.temporal_ui_url
        if self._scripted_port:
            given["ANTHROPIC_BASE_URL"] = f"http://{LOOPBACK}:{self._scripted_port}"
            given["ANTHROPIC_API_KEY"] = parts.SCRIPTED_KEY  # never a real key
        return {**parts.inherit_environment(), **given}

    async def _start_database(self) -> None:
        if self._postgres:
            try:
                await postgres.initialise(self._postgres)
            except ProgramFailedError as error:
                raise SetupFailedError.of(error, "created", self._home) from error
            part = postgres.part(self._postgres, self._home.log("postgres"))
            await self._supervisor.start(part)
        await self._migrate()

    async def _migrate(self) -> None:
        """Migrate in a process of its own: its libraries are large.

        The embedded database belongs to this home alone, so a file with the migrations that were
        applied saves this second at later starts.
        """
        versions = files("persistence.db") / "migrations" / "versions"
        known = "\n".join(sorted(f.name for f in versions.iterdir() if f.name.endswith(".py")))
        marker = self._home.migrated_file
        if self._postgres and marker.exists() and marker.read_text(encoding="utf-8") == known:
            return
        self._report("migrating the database")
        try:
            await run_to_end(parts.own_module("cli.main", "migrate"), self._environment)
        except ProgramFailedError as error:
            raise SetupFailedError.of(error, "migrated", self._home) from error
        marker.write_text(known, encoding="utf-8")

    async def _start_temporal(self) -> None:
        if self._temporal:
            log = self._home.log("temporal")
            part = temporal.part(self._temporal, log, caches_attributes=True)
            await self._supervisor.start(part)

    async def _start_scripted_model(self) -> None:
        if self._scripted_port:
            log = self._home.log("scripted_model")
            await self._supervisor.start(
                parts.scripted_model(self._environment, log, self._scripted_port)
            )

    def _worker(self) -> Part:
        return parts.worker(
            self._environment,
            self._home.log("worker"),
            self._home.run_file("worker.ready"),
            self._settings.drain_seconds,
            processes=self._settings.worker_processes,
            is_scripted=self._scripted_port is not None,
        )

    def _gateway(self) -> Part:
        log = self._home.log("api")
        return parts.gateway(self._environment, log, self._local_host, self._api_port)

    def _write_ready(self) -> None:
        if self._is_ready:
            self._home.write_ready(self._facts())

    def _facts(self) -> dict[str, Any]:
        """The content of `ready.json`."""
        names = ["api", "worker", "temporal", "postgres"]
        if self._scripted_port:
            names.append("scripted_model")
        return {
            "api_url": self.api_url,
            "ui_url": f"{self.api_url}/",
            "temporal_address": self._temporal_address,
            "temporal_ui_url": self.temporal_ui_url,
            "database_url": self._database_url,
            "token": self._token,
            "has_model": parts.find_model_variable(self._environment) is not None,
            "pids": {
                "supervisor": os.getpid(),
                **{name: self._supervisor.pid(name) for name in names},
            },
        }


class _PortTaker:
    """Hands out ports that are free, none twice."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self, wanted: int, option: str = "", host: str = LOOPBACK) -> int:
        port = wanted or self._any_free()
        if port in self._taken or not is_free(host, port):
            listener = describe_listener(port)
            used_by = f" by {listener}" if listener else ""
            raise PortInUseError(
                f"Port {port} is in use{used_by}. Stop the program that listens there, or choose "
                f"another port with {option} (0 takes any free one)."
            )
        self._taken.add(port)
        return port

    def _any_free(self) -> int:
        port = free_port()
        return port if port not in self._taken else self._any_free()
