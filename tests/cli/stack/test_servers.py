"""The embedded servers, alone."""

import os
import signal
from pathlib import Path

import asyncpg
import pytest

from cli.stack import launch
from cli.stack import postgres as embedded_postgres
from cli.stack.addresses import free_port
from cli.stack.assembly import READ_CONNECTIONS, max_connections
from cli.stack.home import Home, write_secret
from cli.stack.postgres import Postgres
from cli.stack.process import PartFailedError, ProgramFailedError, RunningPart
from cli.stack.setup_failures import SetupFailedError
from persistence.executions.cached_reads import CONNECTIONS
from runtime.settings import Settings


def test_the_database_accepts_the_connections_of_all_processes() -> None:
    assert READ_CONNECTIONS == CONNECTIONS
    assert max_connections(Settings()) == 100
    assert max_connections(Settings(worker_processes=4)) == 4 * 21 + 25 + 20


async def test_a_database_of_ones_own_has_every_table(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    collation = await connection.fetchval(
        "SELECT datlocale FROM pg_database WHERE datname = current_database()"
    )
    await connection.close()
    assert "executions" in {row["tablename"] for row in names}
    assert collation == "C.UTF-8"


async def test_postgres_runs_where_user_namespaces_are_forbidden(servers_directory: Path) -> None:
    """As in a container that runs as root: the server becomes `nobody`."""
    identity = launch.AS_NOBODY if os.geteuid() == 0 else launch.SELF
    home = servers_directory / "forbidden"
    write_secret(home / "password", "only-for-tests")
    server = Postgres(home / "data", free_port(), home / "password")
    await embedded_postgres._initialise_as(identity, server)
    part = embedded_postgres.part(server, servers_directory / "forbidden.log")
    assert part.identity == identity
    running = await RunningPart.start(part)
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("SELECT current_database()") == "perdure"
    await connection.close()
    await running.stop()
    assert await running.wait() == 0


async def test_postgres_starts_over_the_pid_file_of_a_killed_one(servers_directory: Path) -> None:
    password = servers_directory / "killed.password"
    write_secret(password, "only-for-tests")
    server = Postgres(servers_directory / "killed", free_port(), password)
    await embedded_postgres.initialise(server)
    part = embedded_postgres.part(server, servers_directory / "killed.log")
    first = await RunningPart.start(part)
    first.kill()
    assert await first.wait() == -signal.SIGKILL
    # As after a restart of a container: another program has that process id now.
    pid_file = server.data / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(first.pid), str(os.getpid()), 1))
    second = await RunningPart.start(part)
    await second.stop()


async def test_a_database_that_cannot_be_created_is_one_sentence_and_a_log(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home")
    server = Postgres(home.postgres_data, free_port(), home.path / "no-password")
    with pytest.raises(ProgramFailedError) as failure:
        await embedded_postgres.initialise(server)
    assert list(home.path.iterdir()) == []
    message = str(SetupFailedError.of(failure.value, "created", home))
    assert message.startswith("The database can't be created: could not open file")
    assert "PERDURE_DATABASE_URL" in message
    assert "\n" not in message
    log = home.log("setup")
    assert message.endswith(f"All output is in {log}.")
    assert "initdb: error: could not open file" in log.read_text()


async def test_a_server_without_a_password_is_refused(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url, password="")


async def test_a_start_that_fails_ends_with_the_servers_own_words(
    servers_directory: Path, postgres: Postgres
) -> None:
    on_a_taken_port = Postgres(servers_directory / "refused", postgres.port, postgres.password_file)
    await embedded_postgres.initialise(on_a_taken_port)
    part = embedded_postgres.part(on_a_taken_port, servers_directory / "refused.log")
    with pytest.raises(PartFailedError, match="Address already in use"):
        await RunningPart.start(part)
