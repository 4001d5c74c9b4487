"""Reports of executions that a test writes to its own database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.database import Database
from persistence.reporting import reports
from persistence.tables.sessions import ReportRow
from reports.compose import compose_json
from services.reports import store_report
from tests.reports.execution_builder import ExecutionBuilder

Example = Callable[[AsyncSession], Awaitable[ExecutionBuilder]]
ReportOf = Callable[[Example], Awaitable[dict[str, Any]]]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection that is closed before its Postgres database is dropped."""
    database = Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
def report_of(database: Database) -> ReportOf:
    """Writes an example, stores its report and reads the content of the report."""

    return partial(write_report, database)


async def write_report(database: Database, example: Example) -> dict[str, Any]:
    """The content of the report of an example."""
    async with database.transaction() as session:
        execution_id = (await example(session)).row.id
    row = await stored_report(database, execution_id)
    assert row is not None
    return row.content


async def stored_report(database: Database, execution_id: UUID) -> ReportRow | None:
    """The newest report after another run of the activity."""
    await store_report(database, execution_id, compose_json)
    async with database.reading() as session:
        return await reports.find_newest(session, execution_id)
