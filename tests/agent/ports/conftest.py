"""Both implementations of each port."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from persistence.db.database import Database
from tests.agent.in_memory.driver import Runner
from tests.agent.ports.stored import InMemory, InPostgres, Stored
from tests.persistence.opened import opened


@pytest.fixture
async def stored_in_memory(runner: Runner) -> Stored:
    return InMemory(runner, runner.open({"text": "x"}).id)


@pytest.fixture
async def stored_in_postgres(database_url: str) -> AsyncIterator[Stored]:
    database = Database.connect(database_url)
    yield InPostgres(await opened(database))
    await database.close()


@pytest.fixture(params=["stored_in_memory", "stored_in_postgres"])
def stored(request: pytest.FixtureRequest) -> Any:
    """An execution with its prompt, which no attempt has moved yet."""
    return request.getfixturevalue(request.param)
