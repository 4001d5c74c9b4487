"""Maintenance: old rows are deleted, others are kept."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import text

from activities import background_tasks
from activities.background_tasks import PeriodicTask, run_alongside
from domain.executions.signals import SignalKind
from persistence.db import idempotency
from persistence.db.database import Database
from persistence.db.idempotency import Key
from persistence.executions import signals
from persistence.identity import users
from services import maintenance
from tests.engine.storing import store
from tests.waiting import eventually

HOURS = timedelta(hours=1)
BATCH = 3


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "BATCH", BATCH)


async def user(database: Database) -> UUID:
    async with database.transaction() as session:
        return (await users.find_or_create(session, "alice", "user")).id


async def texts(database: Database, statement: str) -> list[str]:
    async with database.reading() as session:
        return list((await session.scalars(text(statement))).all())


async def run_in_batches(delete: Callable[[Database], Awaitable[int]], database: Database) -> int:
    total = 0
    while True:
        count = await delete(database)
        assert count <= BATCH
        total += count
        if count < BATCH:
            return total


async def test_expired_keys_are_deleted(database: Database) -> None:
    user_id = await user(database)
    async with database.transaction() as session:
        for number in range(10):
            await idempotency.store(session, Key(user_id, "POST /x", f"{number}", b""), 202, {})
        await session.execute(
            text("UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE key < '8'")
        )
    assert await run_in_batches(maintenance.delete_expired_keys, database) == 8
    assert sorted(await texts(database, "SELECT key FROM idempotency_keys")) == ["8", "9"]
    assert await maintenance.delete_expired_keys(database) == 0


async def test_signals_consumed_a_day_ago_are_deleted(database: Database) -> None:
    row = await store(database, await user(database), [{"text": "x"}])
    consumed_at = [None, *(datetime.now(UTC) - n * HOURS for n in (1, 23, 25, 26, 27, 28, 400))]
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM signals"))
        for number, at in enumerate(consumed_at):
            await signals.append_signal(
                session, row.id, SignalKind.MESSAGE, {"content": str(number)}
            )
            await session.flush()
            await session.execute(
                text("UPDATE signals SET consumed_at = :at WHERE payload ->> 'content' = :number"),
                {"at": at, "number": str(number)},
            )
    assert await run_in_batches(maintenance.delete_consumed_signals, database) == 5
    left = "SELECT payload ->> 'content' FROM signals ORDER BY id"
    assert await texts(database, left) == ["0", "1", "2"]


async def test_a_task_that_fails_stops_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each runs, and each runs again."""
    monkeypatch.setattr(background_tasks, "START_INTERVAL", timedelta(0))
    async with database.transaction() as session:
        await session.execute(text("ALTER TABLE idempotency_keys RENAME TO elsewhere"))
    await store(database, await user(database), [{"text": "x"}])
    async with database.transaction() as session:
        await session.execute(text("UPDATE signals SET consumed_at = now() - interval '2 days'"))
    failures = 0

    async def delete_keys() -> int:
        nonlocal failures
        try:
            return await maintenance.delete_expired_keys(database)
        except Exception:
            failures += 1
            raise

    async def is_done() -> bool:
        left = await texts(database, "SELECT id::text FROM signals")
        return not left and failures > 1

    period = 0.02
    delete_signals = partial(maintenance.delete_consumed_signals, database)
    async with run_alongside(
        PeriodicTask("keys", period, delete_keys, batch=BATCH).run(),
        PeriodicTask("signals", period, delete_signals, batch=BATCH).run(),
    ):
        await eventually(is_done)
