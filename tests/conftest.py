"""Real servers for every test: one Postgres and one Temporal per test process, made by our stack.

Databases are cheap: the real migrations run once, and each test gets an empty clone.
"""

import gc
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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
from runtime.settings import Settings
from runtime.temporal import connect, register_search_attributes
from tests.databases import Databases
from tests.disks import small_disk
from tests.distribution import FileScheduling, count_processes, sort_longest_first
from tests.object_storage import (
    azure_storage,
    bucket,
    container,
    google_bucket,
    google_storage,
    object_storage,
)
from tests.stack import stack

# fixtures for all folders
__all__ = [
    "azure_storage",
    "bucket",
    "container",
    "google_bucket",
    "google_storage",
    "object_storage",
    "small_disk",
    "stack",
]

if TYPE_CHECKING:
    from tests.engine.driver import Engine
    from tests.engine.running import WorkerPlace

# The data of a test server is deleted with it, so it need not reach the disk. Without autovacuum, a
# database that is used again has the query plans of a new one.
POSTGRES_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}

# New objects until the garbage collector looks for unreachable cycles, as in a worker.
COLLECT_AFTER = 10_000

# Deadlines per example and slow examples measure a shared machine, not the code.
UNTIMED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("default", UNTIMED)
hypothesis.settings.register_profile("long", UNTIMED, max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-histories`: see tests/replay. `--budget-trees`: see tests/properties."""
    parser.addoption("--record-histories", action="store_true", help="write tests/replay/histories")
    trees = "the seeds of the trees of executions in the long test of budgets"
    parser.addoption("--budget-trees", default="2-31", help=trees)


def pytest_configure() -> None:
    """Collect no garbage while the modules are loaded, which is a sixth of the time for that."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Collect it from now on, but visit only what tests make: modules live until the end."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See tests/distribution.py."""
    sort_longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """See tests/distribution.py."""
    return count_processes()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileScheduling:
    """See tests/distribution.py."""
    return FileScheduling(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Wait until the threads of Temporal's core have ended; else one in five processes aborts.

    temporalio/sdk-python#300: with 0.25 s after the last use, 25 of 25 processes exited cleanly on
    an idle machine. The xdist controller runs no tests, so it does not wait.
    """
    is_controller = config.option.dist != "no" and not hasattr(config, "workerinput")
    if not is_controller:
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
    server = Postgres(data, free_port(), password, options=POSTGRES_OPTIONS)
    await embedded_postgres.initialise(server)
    running = await RunningPart.start(
        embedded_postgres.part(server, servers_directory / "postgres.log")
    )
    yield server
    await running.stop()


@pytest.fixture(scope="session")
async def databases(postgres: Postgres) -> Databases:
    """Databases with our schema; tests want `database_url`."""
    return await Databases.create(postgres)


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A database of the test's own with every table and no row."""
    url = await databases.take()
    yield url
    await databases.put_back(url)


@pytest.fixture(scope="module")
async def module_database_url(databases: Databases) -> AsyncIterator[str]:
    """As `database_url`, one for all tests of a module."""
    url = await databases.take()
    yield url
    await databases.put_back(url)


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
async def engine_place(
    databases: Databases, temporal_address: str, servers_directory: Path
) -> "WorkerPlace":
    """Where the worker of `engine` works."""
    # Loads the whole worker, which most tests do without.
    from tests.engine.running import make_place  # noqa: PLC0415

    return await make_place(await databases.take(), temporal_address, servers_directory / "engine")


@pytest.fixture(scope="session")
async def engine(
    engine_place: "WorkerPlace", scripted_model: ScriptedModelServer
) -> AsyncIterator["Engine"]:
    """A worker with all its parts, and the driver to start executions on it."""
    from tests.engine.running import open_driver, run_worker  # noqa: PLC0415 - see `engine_place`

    async with (
        open_driver(engine_place, scripted_model) as driver,
        run_worker(engine_place, scripted_model),
    ):
        yield driver


@pytest.fixture(scope="session")
async def short_lived_engine(
    databases: Databases,
    scripted_model: ScriptedModelServer,
    servers_directory: Path,
) -> AsyncIterator["Engine"]:
    """As `engine`, on a Temporal that wants a workflow to continue as new after a few events."""
    from tests.engine.running import make_place, open_driver, run_worker  # noqa: PLC0415 - see `engine_place`

    server = Temporal(
        database=servers_directory / "short-lived.db",
        port=free_port(),
        ui_port=free_port(),
        http_port=free_port(),
        dynamic_config={"limit.historyCount.suggestContinueAsNew": "12"},
    )
    part = embedded_temporal.part(server, servers_directory / "short-lived.log")
    running = await RunningPart.start(part)
    place = await make_place(
        await databases.take(), server.address, servers_directory / "short-lived"
    )
    async with open_driver(place, scripted_model) as driver, run_worker(place, scripted_model):
        yield driver
    await running.stop()
