"""Real servers for every test: one Postgres and one Temporal per test process, made by our stack.

Databases are cheap: the real migrations run once, and each test gets a clone (30 ms).
"""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import hypothesis
import pytest
from temporalio.client import Client

from claude.scripted import ScriptedModelServer
from cli.stack import postgres as embedded_postgres
from cli.stack import temporal as embedded_temporal
from cli.stack.addresses import free_port
from cli.stack.home import write_secret
from cli.stack.postgres import Postgres
from cli.stack.process import RunningPart
from cli.stack.temporal import Temporal
from domain.ids import new_id
from persistence.db.migrate import migrate
from runtime.settings import Settings
from runtime.temporal import connect, register_search_attributes

if TYPE_CHECKING:
    from tests.engine.driver import Engine

# A test server's data dies with it, so it need not reach the disk: a clone takes a third less.
NO_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Deadlines per example and slow examples measure a shared machine, not the code.
UNTIMED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("default", UNTIMED)
hypothesis.settings.register_profile("long", UNTIMED, max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-histories`: see tests/replay."""
    parser.addoption("--record-histories", action="store_true", help="write tests/replay/histories")


def pytest_unconfigure() -> None:
    """Let the threads of Temporal's core end: at once, one in five processes aborts at exit.

    temporalio/sdk-python#300; 0.25 s after the last use brought 25 clean exits of 25 on a machine
    that did nothing else.
    """
    time.sleep(2.5)


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[Path]:
    """A directory that the servers' user can reach, which pytest's own (0700) is not."""
    directory = Path(tempfile.mkdtemp(prefix="perdure-tests-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
async def postgres(servers_directory: Path) -> AsyncIterator[Postgres]:
    """A running server; tests want `database_url`."""
    password = servers_directory / "postgres.password"
    write_secret(password, "only-for-tests")
    data = servers_directory / "postgres"
    server = Postgres(data, free_port(), password, options=NO_DURABILITY)
    await embedded_postgres.initialise(server)
    running = await RunningPart.start(
        embedded_postgres.part(server, servers_directory / "postgres.log")
    )
    yield server
    await running.stop()


@pytest.fixture(scope="session")
async def migrated_template(postgres: Postgres) -> str:
    """The name of a database that the real migrations made, to be cloned."""
    await _execute(postgres.url, "CREATE DATABASE migrated")
    await migrate(_url_of(postgres, "migrated"))
    return "migrated"


@pytest.fixture
async def database_url(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    """A database of the test's own with every table and no row."""
    async with _clone(postgres, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
async def module_database_url(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    """As `database_url`, one for all tests of a module."""
    async with _clone(postgres, migrated_template) as url:
        yield url


@pytest.fixture(scope="session")
async def temporal_server(servers_directory: Path) -> AsyncIterator[Temporal]:
    """A running server with our search attributes, and with time skipping for who asks for it."""
    server = Temporal(
        database=servers_directory / "temporal.db",
        port=free_port(),
        ui_port=free_port(),
        http_port=free_port(),
        dynamic_config={"frontend.WorkflowTimeSkippingEnabled": "true"},
    )
    running = await RunningPart.start(
        embedded_temporal.part(server, servers_directory / "temporal.log")
    )
    client = await connect(Settings(temporal_address=server.address))
    await register_search_attributes(client)
    yield server
    await running.stop()


@pytest.fixture(scope="session")
async def temporal_address(temporal_server: Temporal) -> str:
    """`host:port` of the test session's Temporal."""
    return temporal_server.address


@pytest.fixture(scope="session")
async def temporal_client(temporal_server: Temporal) -> Client:
    """A client as our processes build theirs."""
    return await connect(Settings(temporal_address=temporal_server.address))


@pytest.fixture(scope="session")
def scripted_model() -> Iterator[ScriptedModelServer]:
    """A scripted model over HTTP, for the real SDK."""
    with ScriptedModelServer() as server:
        yield server


@pytest.fixture(scope="session")
async def engine(
    postgres: Postgres,
    migrated_template: str,
    temporal_address: str,
    scripted_model: ScriptedModelServer,
    servers_directory: Path,
) -> AsyncIterator["Engine"]:
    """A worker with all its parts, and the driver to start executions on it."""
    # Loads the whole worker, which most tests do without.
    from tests.engine.running import driving, make_place, working  # noqa: PLC0415

    async with _clone(postgres, migrated_template) as url:
        place = await make_place(url, temporal_address, servers_directory / "engine")
        async with driving(place, scripted_model) as driver, working(place, scripted_model):
            yield driver


@pytest.fixture(scope="session")
async def short_lived_engine(
    postgres: Postgres,
    migrated_template: str,
    scripted_model: ScriptedModelServer,
    servers_directory: Path,
) -> AsyncIterator["Engine"]:
    """As `engine`, on a Temporal that wants a workflow to continue as new after a few events."""
    from tests.engine.running import driving, make_place, working  # noqa: PLC0415 - see `engine`

    server = Temporal(
        database=servers_directory / "short-lived.db",
        port=free_port(),
        ui_port=free_port(),
        http_port=free_port(),
        dynamic_config={"limit.historyCount.suggestContinueAsNew": "12"},
    )
    part = embedded_temporal.part(server, servers_directory / "short-lived.log")
    running = await RunningPart.start(part)
    async with _clone(postgres, migrated_template) as url:
        place = await make_place(url, server.address, servers_directory / "short-lived")
        async with driving(place, scripted_model) as driver, working(place, scripted_model):
            yield driver
    await running.stop()


@asynccontextmanager
async def _clone(postgres: Postgres, template: str) -> AsyncIterator[str]:
    name = f"test_{new_id().hex}"
    await _execute(postgres.url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _url_of(postgres, name)
    await _execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")


def _url_of(postgres: Postgres, database: str) -> str:
    return f"{postgres.url.rpartition('/')[0]}/{database}"


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
