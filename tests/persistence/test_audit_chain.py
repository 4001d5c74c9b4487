"""The chain over the audit log: nothing committed is missed, nothing changed stays unseen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from domain.audit_chain import Entry, canonical
from persistence.db.database import Database
from persistence.identity import users
from persistence.ledger import audit, audit_chain
from persistence.ledger.audit import Actor
from persistence.ledger.audit_chain import Fault, Head, Mismatch, Verification
from services import maintenance

THING = UUID(int=7)
COUNT = 12


async def add(session: AsyncSession, number: int = 0) -> None:
    after = {"number": number, "text": "ü\u2028"}
    await audit.record(
        session, Actor(None, "r", "::1"), "thing.made", ("thing", THING), after=after
    )


async def fill(database: Database, count: int = COUNT) -> None:
    for number in range(count):
        async with database.transaction() as session:
            await add(session, number)


async def seal_all(database: Database, batch: int = 5) -> int:
    total = 0
    while True:
        async with database.transaction() as session:
            count = await audit_chain.seal(session, batch=batch)
        total += count
        if not count:
            return total


async def verify(database: Database, from_seq: int = 1, limit: int = 1000) -> Verification:
    async with database.reading() as session:
        return await audit_chain.verify(session, from_seq, limit=limit)


async def _undone(database: Database, change: Callable[[AsyncSession], Awaitable[object]]) -> None:
    async with database.transaction() as session:
        await change(session)
        raise ZeroDivisionError


async def scalar(database: Database, statement: str) -> Any:
    async with database.reading() as session:
        return await session.scalar(text(statement))


@asynccontextmanager
async def tampering(database: Database) -> AsyncIterator[AsyncSession]:
    """A session of the tables' owner with the triggers disabled."""
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        yield session


@pytest.fixture
async def sealed(database: Database) -> Database:
    await fill(database)
    assert await seal_all(database) == COUNT
    found = await verify(database)
    assert (found.to_seq, found.broken, found.unsealed) == (COUNT, None, 0)
    return database


@pytest.mark.parametrize("table", ["audit_log", "audit_seals"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
async def test_nothing_is_changed_or_deleted(sealed: Database, table: str, statement: str) -> None:
    column = {"audit_log": "action", "audit_seals": "hash"}[table]
    with pytest.raises(DBAPIError, match=f"{table} is append-only"):
        async with sealed.transaction() as session:
            await session.execute(text(statement.format(table, column, column)))


async def test_a_transaction_that_commits_late_is_sealed_late(database: Database) -> None:
    async with database.transaction() as slow:
        await add(slow)
        await fill(database, 3)
        assert await seal_all(database) == 3
        assert (await verify(database)).to_seq == 3
    await fill(database, 1)
    assert await seal_all(database) == 2
    found = await verify(database)
    assert (found.to_seq, found.broken, found.unsealed) == (5, None, 0)


async def test_what_is_rolled_back_is_not_sealed(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await _undone(database, add)
    assert await seal_all(database) == 0


async def test_any_number_of_sealers_make_one_chain(database: Database) -> None:
    """Writers and sealers at once: each entry has one seal, and the chain holds."""
    writing = asyncio.gather(*(fill(database, 20) for _ in range(4)))
    while not writing.done():
        await asyncio.gather(*(maintenance.chain_audit_entries(database) for _ in range(3)))
    await writing
    await seal_all(database)
    found = await verify(database)
    assert (found.to_seq, found.broken, found.unsealed) == (80, None, 0)
    assert await scalar(database, "SELECT count(DISTINCT audit_id) FROM audit_seals") == 80


async def test_a_seal_is_all_or_nothing(database: Database) -> None:
    """A sealer that dies before its commit leaves everything to the next."""
    await fill(database, 3)
    with pytest.raises(ZeroDivisionError):
        await _undone(database, lambda session: audit_chain.seal(session, batch=10))
    assert (await verify(database)).unsealed == 3
    assert await seal_all(database) == 3


async def test_a_long_chain_is_verified_in_parts(sealed: Database) -> None:
    first = await verify(sealed, limit=7)
    assert (first.to_seq, first.next_seq, first.broken) == (7, 8, None)
    second = await verify(sealed, from_seq=8, limit=7)
    assert (second.to_seq, second.next_seq, second.broken) == (COUNT, None, None)
    behind = await verify(sealed, from_seq=COUNT + 1)
    assert (behind.to_seq, behind.next_seq, behind.broken) == (COUNT, None, None)


@pytest.mark.parametrize(
    "column", ["at", "actor_id", "owner_id", "action", "entity_id", "request_id", "after"]
)
async def test_a_changed_entry_is_found(sealed: Database, column: str) -> None:
    values = {
        "at": "at + interval '1 microsecond'",
        "actor_id": "(SELECT id FROM users)",
        "owner_id": "gen_random_uuid()",
        "action": "'thing.unmade'",
        "entity_id": "gen_random_uuid()",
        "request_id": "NULL",
        "after": "json_build_object('number', 4)",
    }
    change = f"UPDATE audit_log SET {column} = {values[column]} WHERE id = :id"  # noqa: S608
    async with tampering(sealed) as session:
        await users.find_or_create(session, "x", "user")
        changed = await session.scalar(text("SELECT audit_id FROM audit_seals WHERE seq = 5"))
        await session.execute(text(change), {"id": changed})
    found = await verify(sealed)
    assert found.broken is not None
    assert (found.broken.fault, found.broken.seq, found.to_seq) == (Fault.HASH_MISMATCH, 5, 4)


async def test_a_deleted_entry_is_found(sealed: Database) -> None:
    async with tampering(sealed) as session:
        await session.execute(
            text("DELETE FROM audit_log WHERE id = (SELECT audit_id FROM audit_seals WHERE seq=6)")
        )
    found = await verify(sealed)
    assert found.broken is not None
    assert (found.broken.fault, found.broken.seq) == (Fault.ENTRY_MISSING, 6)


@pytest.mark.parametrize("seqs", ["seq = 1", "seq = 6", "seq = 6 OR seq = 8"])
async def test_a_deleted_seal_is_found(sealed: Database, seqs: str) -> None:
    async with tampering(sealed) as session:
        await session.execute(text(f"DELETE FROM audit_seals WHERE {seqs}"))  # noqa: S608 - from above
    found = await verify(sealed)
    assert found.broken is not None
    assert found.broken.fault is Fault.SEAL_MISSING
    assert found.broken.seq == (1 if seqs == "seq = 1" else 6)


async def test_an_entry_deleted_with_its_seal_is_found(sealed: Database) -> None:
    """The seals behind it moved up, as if it had never been."""
    async with tampering(sealed) as session:
        await session.execute(
            text("DELETE FROM audit_log WHERE id = (SELECT audit_id FROM audit_seals WHERE seq=6)")
        )
        await session.execute(text("DELETE FROM audit_seals WHERE seq = 6"))
        move = text("UPDATE audit_seals SET seq = :seq - 1 WHERE seq = :seq")
        for seq in range(7, COUNT + 1):
            await session.execute(move, {"seq": seq})
    found = await verify(sealed)
    assert found.broken is not None
    assert (found.broken.fault, found.broken.seq) == (Fault.HASH_MISMATCH, 6)


async def test_an_entry_slipped_in_is_found(sealed: Database) -> None:
    """Past the trigger that would have it sealed, at any place in time."""
    async with tampering(sealed) as session:
        await add(session)
    found = await verify(sealed)
    assert found.broken is not None
    assert (found.broken.fault, found.broken.seq) == (Fault.ENTRY_UNCHAINED, None)


async def test_an_entry_slipped_in_with_a_seal_is_found(sealed: Database) -> None:
    async with tampering(sealed) as session:
        await add(session)
        await session.execute(
            text(
                "INSERT INTO audit_seals (seq, audit_id, hash) SELECT 13, id, sha256('x') "
                "FROM audit_log a WHERE NOT EXISTS "
                "(SELECT FROM audit_seals s WHERE s.audit_id = a.id)"
            )
        )
    found = await verify(sealed)
    assert found.broken is not None
    assert (found.broken.fault, found.broken.seq) == (Fault.HASH_MISMATCH, 13)


async def test_an_entry_deleted_before_it_is_sealed_is_found(sealed: Database) -> None:
    await fill(sealed, 1)
    async with tampering(sealed) as session:
        await session.execute(
            text("DELETE FROM audit_log WHERE id = (SELECT audit_id FROM audit_unsealed)")
        )
    assert await seal_all(sealed) == 0
    found = await verify(sealed)
    assert found.broken is not None
    assert found.broken.fault is Fault.ENTRY_MISSING


async def test_only_the_head_reveals_missing_entries_at_the_end(sealed: Database) -> None:
    """Entries and their seals gone together look like a shorter log: keep the head elsewhere."""
    newest = (await verify(sealed)).head
    assert newest is not None
    head = Head(newest.seq, newest.hash)
    async with tampering(sealed) as session:
        await session.execute(
            text("DELETE FROM audit_log WHERE id = (SELECT audit_id FROM audit_seals WHERE seq=12)")
        )
        await session.execute(text("DELETE FROM audit_seals WHERE seq = 12"))
    found = await verify(sealed)
    assert (found.broken, found.to_seq) == (None, 11)
    async with sealed.reading() as session:
        kept = await audit_chain.verify(session, 1, limit=1000, expected=head)
    assert kept.mismatch == Mismatch(head, None)


async def test_a_seal_cut_at_the_end_leaves_an_entry_outside(sealed: Database) -> None:
    async with tampering(sealed) as session:
        await session.execute(text("DELETE FROM audit_seals WHERE seq = 12"))
    found = await verify(sealed)
    assert found.broken is not None
    assert found.broken.fault is Fault.ENTRY_UNCHAINED


async def test_thousands_of_entries_are_sealed_in_batches(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO audit_log (id, action, entity_type, entity_id, after) SELECT "
                "gen_random_uuid(), 'a', 'b', gen_random_uuid(), '{}' FROM generate_series(1, 5000)"
            )
        )
    assert await seal_all(database, batch=1000) == 5000
    assert (await verify(database, limit=5000)).broken is None


def test_the_bytes_of_an_entry_are_fixed() -> None:
    """Seals made today are to be verified by any later version."""
    entry = Entry(
        id=UUID(int=1),
        at=datetime(2026, 11, 21, 6, 0, tzinfo=UTC),
        actor_id=None,
        owner_id=UUID(int=2),
        action="task.create",
        entity_type="task",
        entity_id=UUID(int=3),
        request_id="r",
        address=None,
        before=None,
        after='{"name": "ü"}',
    )
    assert canonical(entry) == (
        b'["00000000-0000-0000-0000-000000000001","2026-11-21T06:00:00.000000+00:00",null,'
        b'"00000000-0000-0000-0000-000000000002","task.create","task",'
        b'"00000000-0000-0000-0000-000000000003","r",null,null,"{\\"name\\": \\"\\u00fc\\"}"]'
    )
