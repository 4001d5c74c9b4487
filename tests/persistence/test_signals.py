"""Signals: read in order, consumed once, and due for one relay at a time."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from domain.executions.signals import SignalKind
from persistence.db.database import Database
from persistence.executions import signals
from persistence.executions.signals import append_signal
from persistence.tables.executions import ExecutionRow, SignalRow
from tests.persistence.opened import open_execution


async def test_signals_are_read_in_order(database: Database) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        for number in range(50):
            await append_signal(session, execution.id, SignalKind.MESSAGE, {"content": str(number)})
    async with database.transaction() as session:
        unread = await signals.list_unread(session, execution.id)
        assert [row.payload["content"] for row in unread] == [str(n) for n in range(50)]
        await signals.consume(session, [row.id for row in unread[:49]])
    async with database.reading() as session:
        [last] = await signals.list_unread(session, execution.id)
    assert last.payload["content"] == "49"


async def test_an_unconsumed_row_is_due(database: Database) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        await append_signal(session, execution.id, SignalKind.CANCEL)
    async with database.transaction() as session:
        assert not await signals.take_due(session, limit=10)
        past = datetime.now(UTC) - timedelta(seconds=1)
        await session.execute(update(SignalRow).values(wake_at=past))
    async with database.transaction() as session:
        [(row, owner)] = await signals.take_due(session, limit=10)
        assert (row.kind, owner.id) == ("cancel", execution.id)
    async with database.transaction() as session:
        assert not await signals.take_due(session, limit=10)


async def test_a_message_that_has_to_wait_wakes_nothing(database: Database) -> None:
    """A blocked execution has no workflow; the others read it with the next other signal."""
    execution = await open_execution(database)
    async with database.transaction() as session:
        await append_signal(
            session, execution.id, SignalKind.MESSAGE, relay_after=timedelta(seconds=-1)
        )
    for status in ("blocked", "paused", "waiting_for_user", "waiting_for_subtask"):
        async with database.transaction() as session:
            await session.execute(update(ExecutionRow).values(status=status))
            assert not await signals.take_due(session, limit=10)


async def test_many_ends_are_sent_when_they_become_fewer(database: Database) -> None:
    execution = await open_execution(database)
    due, later, overdue = timedelta(seconds=-1), timedelta(seconds=30), -signals.LAST_CLOSING
    async with database.transaction() as session:
        for wake in (due, overdue, *[later] * signals.MOST_CLOSING):
            await append_signal(session, execution.id, SignalKind.ENDED, relay_after=wake)
    async with database.transaction() as session:
        [(sent, _)] = await signals.take_due(session, limit=10)
        await signals.consume(session, [sent.id])
        assert not await signals.take_due(session, limit=10)
        newest = (await signals.list_unread(session, execution.id))[-1]
        await signals.consume(session, [newest.id])
        [(last, _)] = await signals.take_due(session, limit=10)
        assert last.id < sent.id


async def test_relays_share_what_is_due(database: Database) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        for _ in range(40):
            await append_signal(
                session, execution.id, SignalKind.ANSWER, relay_after=timedelta(seconds=-1)
            )

    async def share() -> list[str]:
        async with database.transaction() as session:
            return [str(row.id) for row, _ in await signals.take_due(session, limit=10)]

    shares = await asyncio.gather(*(share() for _ in range(8)))
    found = [row for rows in shares for row in rows]
    assert len(found) == len(set(found)) <= 40
