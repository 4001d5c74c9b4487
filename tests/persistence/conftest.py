"""A database for each test."""

from collections.abc import AsyncIterator

import pytest

from persistence.db.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.connect(database_url)
    yield database
    await database.close()
