"""Pages over many rows: one branch or several, exact or capped, cheap at any depth."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import and_, text

from persistence.db.database import Database
from persistence.db.paging import COUNTED, Page, Window, newest
from persistence.tables.ledger import UserRow

MANY = COUNTED + 5
MAKE = """
INSERT INTO users (id, subject, role)
SELECT ('0190' || lpad(to_hex(n), 28, '0'))::uuid, 'u' || n, CASE n % 3 WHEN 0 THEN 'a' ELSE 'b' END
FROM generate_series(1, :many) AS n
"""
A = UserRow.role == "a"
B = UserRow.role == "b"


@pytest.fixture(scope="module")
async def database(module_database_url: str) -> AsyncIterator[Database]:
    database = Database.connect(module_database_url)
    async with database.transaction() as session:
        await session.execute(text(MAKE), {"many": MANY})
    yield database
    await database.close()


async def read(database: Database, window: Window, *branches: object) -> Page[UserRow]:
    async with database.reading() as session:
        return await newest(session, UserRow, UserRow.id, list(branches), window)  # type: ignore[arg-type]  # conditions, spelled shortly


async def test_totals_are_exact_up_to_the_cap(database: Database) -> None:
    some = await read(database, Window(5), A)
    assert (some.total, some.is_capped, some.has_more) == (MANY // 3, False, True)
    every = await read(database, Window(5), A, B)
    assert (every.total, every.is_capped) == (COUNTED, True)


async def test_cursors_walk_through_all_branches_in_one_order(database: Database) -> None:
    seen: list[UUID] = []
    before: UUID | None = None
    while True:
        page = await read(database, Window(1_000, before=before), A, B)
        seen += [row.id for row in page.rows]
        if not page.has_more:
            break
        before = seen[-1]
    assert len(seen) == MANY
    assert seen == sorted(set(seen), reverse=True)


async def test_numbered_pages_agree_with_cursors(database: Database) -> None:
    first = await read(database, Window(10), A, B)
    by_cursor = await read(database, Window(10, before=first.rows[-1].id), A, B)
    by_number = await read(database, Window(10, offset=10), A, B)
    assert [r.id for r in by_cursor.rows] == [r.id for r in by_number.rows]


async def test_nothing_is_an_empty_page(database: Database) -> None:
    page = await read(database, Window(10), and_(A, B))
    assert (list(page.rows), page.total, page.has_more) == ([], 0, False)
