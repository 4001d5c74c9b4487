"""Walking a list by its cursors while others write: nothing that stays is missed or repeated."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.db.database import Database
from persistence.db.paging import Window
from persistence.executions import queries
from persistence.executions.queries import ExecutionFilter
from persistence.identity import users
from persistence.tables.executions import ExecutionRow, ExecutionTagRow

STATUSES = [ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED]
TAGS = ["red", "blue"]

statuses = st.sampled_from(STATUSES)
rows = st.tuples(statuses, st.lists(st.sampled_from(TAGS), unique=True))
changes = st.tuples(st.integers(0, 30), statuses)
"""A row by its place, and the status it gets."""

filters = st.builds(
    ExecutionFilter,
    statuses=st.lists(statuses, unique=True, max_size=2),
    tag=st.none() | st.sampled_from(TAGS),
)

Written = tuple[str, tuple[Any, ...]]
"""`insert` or `change`, and the arguments of that method of `Walk`."""


class Walk:
    """Reads a list page by page while others write to it."""

    def __init__(self, database: Database, user_id: UUID, narrowed: ExecutionFilter) -> None:
        self._database = database
        self._user_id = user_id
        self._narrowed = narrowed
        self._tags: dict[UUID, list[str]] = {}
        self.ever: set[UUID] = set()
        """Rows that have matched at some time."""
        self.always: set[UUID] = set()
        """Rows that were there when the walk began and have matched ever since."""

    async def insert(self, status: ExecutionStatus, tags: list[str]) -> None:
        execution_id = new_id()
        row = ExecutionRow(
            id=execution_id,
            user_id=self._user_id,
            title="x",
            tags=tags,
            trigger_type="manual",
            missing_variables=[],
            status=status,
            priority=5,
            workflow_id=f"execution-{execution_id}",
        )
        self._tags[execution_id] = tags
        if self._matches(execution_id, status):
            self.ever.add(execution_id)
        async with self._database.transaction() as session:
            session.add(row)
            session.add_all(
                ExecutionTagRow(user_id=self._user_id, tag=tag, execution_id=execution_id)
                for tag in set(tags)
            )

    async def change(self, place: int, status: ExecutionStatus) -> None:
        if place >= len(self._tags):
            return
        execution_id = list(self._tags)[place]
        if self._matches(execution_id, status):
            self.ever.add(execution_id)
        else:
            self.always.discard(execution_id)
        async with self._database.transaction() as session:
            await session.execute(
                update(ExecutionRow).where(ExecutionRow.id == execution_id).values(status=status)
            )

    def _matches(self, execution_id: UUID, status: ExecutionStatus) -> bool:
        wanted = self._narrowed
        has_status = not wanted.statuses or status in wanted.statuses
        return has_status and (wanted.tag is None or wanted.tag in self._tags[execution_id])

    async def page(self, size: int, before: UUID | None) -> tuple[list[UUID], bool]:
        async with self._database.reading() as session:
            window = Window(size, before=before)
            found = await queries.page(session, self._user_id, self._narrowed, window)
        return [row.id for row in found.rows], found.has_more

    async def read_pages(self, size: int, meanwhile: Iterator[list[Written]]) -> list[UUID]:
        """All rows of all pages; while each is read, the next of `meanwhile` is written."""
        self.always = set(self.ever)
        found: list[UUID] = []
        has_more = True
        while has_more:
            writing = [self._write(*written) for written in next(meanwhile, [])]
            reading = self.page(size, found[-1] if found else None)
            (page, has_more), _ = await asyncio.gather(reading, asyncio.gather(*writing))
            found += page
        return found

    async def _write(self, kind: str, values: tuple[Any, ...]) -> None:
        await (self.insert if kind == "insert" else self.change)(*values)


writes = st.tuples(st.just("insert"), rows) | st.tuples(st.just("change"), changes)


@pytest.fixture(scope="module")
def walking(module_database_url: str) -> Iterator[tuple[asyncio.Runner, Database]]:
    """A loop of its own: Hypothesis calls no coroutines."""
    database = Database.connect(module_database_url, pool_size=6)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner, database
        runner.run(database.close())


async def check_pages(
    database: Database,
    there: list[tuple[ExecutionStatus, list[str]]],
    narrowed: ExecutionFilter,
    size: int,
    meanwhile: list[list[Written]],
) -> None:
    async with database.transaction() as session:
        user = await users.find_or_create(session, f"walker {new_id()}", "user")
    walk = Walk(database, user.id, narrowed)
    for row in there:
        await walk.insert(*row)
    seen = await walk.read_pages(size, iter(meanwhile))
    assert len(seen) == len(set(seen)), "a row came twice"
    assert seen == sorted(seen, reverse=True)
    assert walk.always <= set(seen), "a row was missed"
    assert set(seen) <= walk.ever, "a row came that never matched"


walks = given(
    there=st.lists(rows, max_size=25),
    narrowed=filters,
    size=st.integers(1, 7),
    meanwhile=st.lists(st.lists(writes, max_size=4), max_size=12),
)


@settings(max_examples=30)
@walks
def test_what_stays_is_seen_once(walking: tuple[asyncio.Runner, Database], **drawn: Any) -> None:
    runner, database = walking
    runner.run(check_pages(database, **drawn))


@pytest.mark.long
@pytest.mark.timeout(3000)
@settings(max_examples=1000)
@walks
def test_what_stays_is_seen_once_for_long(
    walking: tuple[asyncio.Runner, Database], **drawn: Any
) -> None:
    runner, database = walking
    runner.run(check_pages(database, **drawn))
