"""Housekeeping: what is old goes, what is not stays."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from activities import housekeeping
from activities.housekeeping import Housekeeping
from persistence.db import idempotency
from persistence.db.database import Database
from persistence.db.idempotency import Key
from persistence.executions import signals
from persistence.executions.signals import SignalKind
from persistence.identity import users
from tests.engine.storing import store

HOURS = timedelta(hours=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 3)


async def user(database: Database) -> UUID:
    async with database.transaction() as session:
        return (await users.see(session, "alice", "user")).id


async def texts(database: Database, statement: str) -> list[str]:
    async with database.reading() as session:
        return list((await session.scalars(text(statement))).all())


async def test_expired_keys_go(database: Database) -> None:
    user_id = await user(database)
    async with database.transaction() as session:
        for number in range(10):
            await idempotency.keep(session, Key(user_id, "POST /x", f"{number}", b""), 202, {})
        await session.execute(
            text("UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE key < '8'")
        )
    assert await Housekeeping(database).expire_keys() == 8
    assert sorted(await texts(database, "SELECT key FROM idempotency_keys")) == ["8", "9"]
    assert await Housekeeping(database).expire_keys() == 0


async def test_what_was_taken_in_a_day_ago_goes(database: Database) -> None:
    row = await store(database, await user(database), [{"text": "x"}])
    taken_in = [None, *(datetime.now(UTC) - n * HOURS for n in (1, 23, 25, 26, 27, 28, 400))]
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM signals"))
        for number, at in enumerate(taken_in):
            await signals.append_signal(
                session, row.id, SignalKind.MESSAGE, {"content": str(number)}
            )
            await session.flush()
            await session.execute(
                text("UPDATE signals SET consumed_at = :at WHERE payload ->> 'content' = :number"),
                {"at": at, "number": str(number)},
            )
    assert await Housekeeping(database).put_messages_away() == 5
    left = "SELECT payload ->> 'content' FROM signals ORDER BY id"
    assert await texts(database, left) == ["0", "1", "2"]


async def test_a_chore_that_fails_stops_no_other(database: Database) -> None:
    """Each is tried, and all are tried again."""
    chores = Housekeeping(database)
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE idempotency_keys RENAME TO elsewhere"))
    await store(database, await user(database), [{"text": "x"}])
    async with database.transaction() as session:
        await session.execute(text("UPDATE signals SET consumed_at = now() - interval '2 days'"))
    assert await chores.tidy() == ["expire_keys"]
    assert await texts(database, "SELECT id::text FROM signals") == []
