"""Search and writes in memory with a million entries."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import asyncpg

from bench.cases.lists import database_server
from bench.figures import Bar, Section, Spread, Table
from bench.scale import Scale, say
from domain.ids import new_id
from domain.memory.entries import MemoryAction, MemoryType
from persistence.db.database import Database
from persistence.db.paging import Window
from persistence.ledger.audit import ENGINE
from persistence.memory import entries
from persistence.memory.entries import EntryFilter, NewVersion
from persistence.tables.ledger import UserRow

ENTRIES = 1_000_000
USERS = 10
"""The first one has nine tenths of the entries."""

FILLED_AT_ONCE = 20_000
"""By one statement."""

INDEX = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_memory_entries_search'"

FOUND = 50
LOOKS = 50
WORDS = {"a word of 60 %": "w1", "a rare word": "w19000", "two words": "w3 w40", "none": "absent"}
LANGUAGE = "english"

FILL = """
INSERT INTO memory_entries (
    id, user_id, namespace, key, version, memory_type, value, stored_bytes, search
)
SELECT gen_random_uuid(),
    users[CASE WHEN n % 10 = 0 THEN 1 + n / 10 % $3 ELSE 1 END],
    'project:' || n % 1000, 'entry ' || n, 1, 'semantic', to_json(words), length(words),
    to_tsvector('simple', words) || to_tsvector('english', words)
FROM (
    SELECT n, (SELECT string_agg('w' || floor(exp(random() * ln(20000)))::int, ' ')
        FROM generate_series(1, 12 + n % 2)) AS words
    FROM generate_series($1::int, $2::int) AS n
) AS made, (SELECT array_agg(id ORDER BY id) AS users FROM users) AS owners
"""
"""Words whose frequency falls with their number, as in texts."""


async def measure(scale: Scale) -> Section:
    """Milliseconds of searches and writes, with the way to the database and back."""
    del scale
    async with _filled_database() as (database, user_id):
        searches = {
            name: await _milliseconds(partial(_search, database, user_id, words))
            for name, words in WORDS.items()
        }
        writes = await _milliseconds(partial(_put, database, user_id))
    rows = [(name, str(Spread.of(ms))) for name, ms in {**searches, "a write": writes}.items()]
    worst = max(Spread.of(ms).median for ms in searches.values())
    return Section(
        f"Memory with {ENTRIES:,} entries",
        "One user has nine tenths of them. A search returns the best 50. A write is a new version "
        "of an entry, with its vectors and its audit row.",
        [Table("Milliseconds", ("what", "ms"), rows)],
        [
            Bar("memory: a search in a million entries", worst, 20, unit="ms"),
            Bar("memory: a write", Spread.of(writes).median, 3, unit="ms"),
        ],
    )


@asynccontextmanager
async def _filled_database() -> AsyncIterator[tuple[Database, UUID]]:
    async with database_server() as url:
        database = Database.connect(url)
        async with database.transaction() as session:
            users = [UserRow(id=new_id(), subject=f"user-{n}", role="user") for n in range(USERS)]
            session.add_all(users)
        say(f"filling in {ENTRIES:,} entries")
        await _fill(url)
        yield database, min(user.id for user in users)
        await database.close()


async def _fill(url: str) -> None:
    """Insert the entries. The index for searches is built afterwards, which takes less time."""
    connection = await asyncpg.connect(url)
    index = await connection.fetchval(INDEX)
    await connection.execute("DROP INDEX ix_memory_entries_search")
    for first in range(1, ENTRIES, FILLED_AT_ONCE):
        await connection.execute(FILL, first, first + FILLED_AT_ONCE - 1, USERS)
    for statement in ("SET maintenance_work_mem = '512MB'", index, "VACUUM ANALYZE memory_entries"):
        await connection.execute(statement)
    await connection.close()


async def _milliseconds(call: Callable[[], Awaitable[None]]) -> list[float]:
    await call()
    taken = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def _search(database: Database, user_id: UUID, words: str) -> None:
    wanted = EntryFilter(user_id=user_id)
    async with database.reading() as session:
        await entries.search(session, wanted, words, language=LANGUAGE, window=Window(FOUND))


async def _put(database: Database, user_id: UUID) -> None:
    found = await entries.read(database.raw, user_id, "project:7", "entry")
    new = NewVersion(
        user_id=user_id,
        namespace="project:7",
        key="entry",
        memory_type=MemoryType.SEMANTIC,
        value=f"deployed at {time.time()} with blue and green stacks",
        created_by=None,
        expires_at=None,
    )
    await entries.write(
        database.raw,
        found.row if found else None,
        new,
        action=MemoryAction.UPDATED,
        actor=ENGINE,
        size_bytes=60,
        language=LANGUAGE,
    )
