"""Concurrent reads of executions share one statement, and each gets its result."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text

from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions.cached_reads import CachedReads
from persistence.identity import users
from tests.engine.storing import store


@pytest.fixture
async def reads(database_url: str) -> AsyncIterator[CachedReads]:
    reads = await CachedReads.connect(database_url)
    yield reads
    await reads.close()


async def test_everyone_gets_their_own(database: Database, reads: CachedReads) -> None:
    async with database.transaction() as session:
        user = await users.find_or_create(session, "alice", "user")
    rows = [await store(database, user.id, [{"text": "x"}], title=f"t{n}") for n in range(4)]
    absent = new_id()
    asked = [row.id for row in rows] * 20 + [absent]
    found = await asyncio.gather(*(reads.execution(execution_id) for execution_id in asked))
    assert found[-1] is None
    for execution_id, columns in zip(asked[:-1], found[:-1], strict=True):
        assert columns is not None
        assert columns["id"] == execution_id
        assert columns["title"] == next(row.title for row in rows if row.id == execution_id)


async def test_what_was_written_before_is_seen(database: Database, reads: CachedReads) -> None:
    """While others read all the time: nobody joins a read that began before they asked."""
    async with database.transaction() as session:
        user = await users.find_or_create(session, "alice", "user")
    row = await store(database, user.id, [{"text": "x"}])
    stop = asyncio.Event()

    async def poll() -> None:
        while not stop.is_set():
            await reads.execution(row.id)

    polling = [asyncio.create_task(poll()) for _ in range(3)]
    for number in range(50):
        async with database.transaction() as session:
            change = text("UPDATE executions SET summary = :n WHERE id = :id")
            await session.execute(change, {"n": str(number), "id": row.id})
        columns = await reads.execution(row.id)
        assert columns is not None
        assert columns["summary"] == str(number)
    stop.set()
    await asyncio.gather(*polling)


async def test_who_goes_away_takes_nothing_from_others(
    database: Database, reads: CachedReads
) -> None:
    async with database.transaction() as session:
        user = await users.find_or_create(session, "alice", "user")
    row = await store(database, user.id, [{"text": "x"}])
    first = asyncio.create_task(reads.execution(row.id))
    second = asyncio.create_task(reads.execution(row.id))
    await asyncio.sleep(0)
    first.cancel()
    columns = await second
    assert columns is not None
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failure_reaches_all_and_is_over(database: Database, reads: CachedReads) -> None:
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE executions RENAME TO elsewhere"))
    results = await asyncio.gather(
        *(reads.execution(new_id()) for _ in range(5)), return_exceptions=True
    )
    assert {type(result) for result in results} == {asyncpg.UndefinedTableError}
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE elsewhere RENAME TO executions"))
    assert await reads.execution(new_id()) is None
