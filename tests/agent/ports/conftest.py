"""Both implementations of each port."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.ports import Model, Tools
from claude.adapter import ClaudeModel
from claude.scripted import ScriptedModelServer
from persistence.blobs.directory import DirectoryBlobs
from persistence.db.database import Database
from services.blobs import Blobs
from tests.agent.in_memory.driver import Runner
from tests.agent.in_memory.model import InMemoryModel
from tests.agent.in_memory.tools import InMemoryStore, InMemoryTools
from tests.agent.ports.stored import InMemory, InPostgres, RecordedExecution
from tests.persistence.opened import open_execution
from tools.toolbox import Toolbox


@pytest.fixture
async def stored_in_memory(runner: Runner) -> RecordedExecution:
    return InMemory(runner, runner.open({"text": "x"}).id)


@pytest.fixture
async def stored_in_postgres(database_url: str) -> AsyncIterator[RecordedExecution]:
    database = Database.connect(database_url)
    yield InPostgres(await open_execution(database))
    await database.close()


@pytest.fixture(params=["stored_in_memory", "stored_in_postgres"])
def stored(request: pytest.FixtureRequest) -> Any:
    """An execution with its prompt, which no attempt has moved yet."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def model_in_memory() -> InMemoryModel:
    return InMemoryModel()


@pytest.fixture
async def model_over_http(scripted_model: ScriptedModelServer) -> AsyncIterator[Model]:
    claude = ClaudeModel.create(base_url=scripted_model.base_url, api_key="any")
    yield claude
    await claude.close()


@pytest.fixture(params=["model_in_memory", "model_over_http"])
def model(request: pytest.FixtureRequest) -> Any:
    """A model that follows scripts."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def open_gate(model: Model, scripted_model: ScriptedModelServer) -> Callable[[str], None]:
    """Opens a gate of the model's scripts."""
    return model.open_gate if isinstance(model, InMemoryModel) else scripted_model.open_gate


@pytest.fixture(params=["memory", "host"])
def tools(request: pytest.FixtureRequest, tmp_path: Path) -> Tools:
    """The tools that both implementations have."""
    if request.param == "memory":
        return InMemoryTools()
    # Readable by the user that commands run as.
    tmp_path.chmod(0o711)
    return Toolbox(tmp_path / "workspaces", host_id="host")


@pytest.fixture
def store_in_memory() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
async def store_on_disk(database_url: str, tmp_path: Path) -> AsyncIterator[Blobs]:
    database = Database.connect(database_url)
    yield Blobs(database, DirectoryBlobs(tmp_path / "artifacts"))
    await database.close()


@pytest.fixture(params=["store_in_memory", "store_on_disk"])
def store(request: pytest.FixtureRequest) -> Any:
    """Keeps artifacts."""
    return request.getfixturevalue(request.param)
