"""Executions told to a database of the test's own, and their stored reports."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from activities import report as reporting
from persistence.db.database import Database
from persistence.reporting import reports
from persistence.tables.reports import ReportRow
from tests.reports.told import Teller

Story = Callable[[AsyncSession], Awaitable[Teller]]
Reported = Callable[[Story], Awaitable[dict[str, Any]]]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Closed before its Postgres database is dropped."""
    database = Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
def reported(database: Database) -> Reported:
    """Tells a story, stores its report and reads the content back."""

    async def tell(story: Story) -> dict[str, Any]:
        async with database.transaction() as session:
            execution_id = (await story(session)).row.id
        row = await stored(database, execution_id)
        assert row is not None
        return row.content

    return tell


async def stored(database: Database, execution_id: UUID) -> ReportRow | None:
    """The newest report, after the activity has run once more."""
    async with database.transaction() as session:
        await reporting.store_report(session, execution_id)
    async with database.reading() as session:
        return await reports.of_execution(session, execution_id)
