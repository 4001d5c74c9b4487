"""Executions that wait for others: thousands at once, and with concurrent transactions."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.db import locks
from persistence.db.database import Database
from persistence.executions import cascade, lifecycle, prerequisites, queries
from persistence.tables.executions import ExecutionRow
from tests.persistence.opened import Opened, open_execution

MOST_STATEMENTS = 4
"""Of an end, which has some seconds: not one for each that waits."""

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
WAIT = text("""
WITH waiting AS (
    INSERT INTO executions (id, user_id, title, status, status_reason, workflow_id, trigger_type,
        depth, executor, trigger_metadata, prompt_variables, missing_variables, priority)
    SELECT new.id, e.user_id, 'waits', 'blocked', 'prerequisites', 'execution-' || new.id, 'manual',
        0, 'claude', '{}', '{}', '[]', 5
    FROM executions e, unnest(CAST(:ids AS uuid[])) AS new (id) WHERE e.id = :like
)
INSERT INTO execution_prerequisites (execution_id, prerequisite_id)
SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:others AS uuid[]))
""")


async def wait(database: Database, like: Opened, others: Sequence[UUID]) -> list[UUID]:
    """As many executions as there are others, each waiting for one of those."""
    ids = [new_id() for _ in others]
    async with database.transaction() as session:
        await session.execute(WAIT, {"ids": ids, "others": list(others), "like": like.id})
    return ids


async def line(database: Database, like: Opened, length: int) -> list[UUID]:
    """Executions that wait for one another, one behind the other, the first for `like`."""
    ids = [new_id() for _ in range(length)]
    async with database.transaction() as session:
        parameters = {"ids": ids, "others": [like.id, *ids[:-1]], "like": like.id}
        await session.execute(WAIT, parameters)
    return ids


async def settle(database: Database, ended: UUID, status: ExecutionStatus) -> int:
    """End an execution for those that wait for it; how many statements that took."""
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    async with database.transaction() as session:
        update = text("UPDATE executions SET status = :status WHERE id = :id")
        await session.execute(update, {"status": status, "id": ended})
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        if status is ExecutionStatus.COMPLETED:
            held = await locks.lock_for_end(session, ended, status)
            await prerequisites.release(session, ended, held)
        else:
            await prerequisites.fail(session, {ended: status})
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    return len(statements)


async def start_waiting(database: Database, first: Opened) -> asyncio.Task[int]:
    """A failure that waits for a row that the caller has locked."""
    failing = asyncio.create_task(settle(database, first.id, ExecutionStatus.FAILED))
    while not await count(database, WAITING):
        assert not failing.done()
    return failing


async def count(database: Database, sql: str) -> int:
    async with database.reading() as session:
        return int(await session.scalar(text(sql)) or 0)


async def test_a_long_line_fails_whole(database: Database) -> None:
    first = await open_execution(database)
    ids = await line(database, first, 2000)
    assert await settle(database, first.id, ExecutionStatus.FAILED) <= MOST_STATEMENTS
    assert await count(database, "SELECT count(*) FROM executions WHERE status = 'failed'") == 2001
    events = "SELECT count(*) FROM execution_events WHERE type = 'execution.failed'"
    audited = "SELECT count(*) FROM audit_log WHERE action = 'execution.failed'"
    assert (await count(database, events), await count(database, audited)) == (2000, 2000)
    async with database.reading() as session:
        query = text("SELECT id, error_message FROM executions WHERE id = ANY(:ids) ORDER BY id")
        sentences = [row.error_message for row in await session.execute(query, {"ids": ids})]
    others = [first.id, *ids[:-1]]
    assert sentences == [f"It waited for execution {other}, which is failed." for other in others]


async def test_many_start_together(database: Database) -> None:
    first = await open_execution(database)
    ids = await wait(database, first, [first.id] * 4000)
    [late] = await wait(database, first, [first.id])
    async with database.transaction() as session:
        await prerequisites.store(session, late, ids[:1])
    assert await settle(database, first.id, ExecutionStatus.COMPLETED) <= MOST_STATEMENTS
    assert await count(database, "SELECT count(*) FROM executions WHERE status = 'pending'") == 4000
    unstarted = "SELECT count(*) FROM signals WHERE kind = 'start' AND consumed_at IS NULL"
    assert await count(database, unstarted) == 4000


async def test_one_that_begins_to_wait_while_others_fail_fails_too(database: Database) -> None:
    first = await open_execution(database)
    *_, last = await line(database, first, 3)
    async with database.reading() as session:
        user_id = await session.scalar(text("SELECT user_id FROM executions LIMIT 1"))
    async with database.transaction() as session:
        statuses = await prerequisites.lock_statuses(session, user_id, [last])
        assert statuses == {last: ExecutionStatus.BLOCKED}
        failing = await start_waiting(database, first)
        parameters = {"ids": [new_id()], "others": [last], "like": first.id}
        await session.execute(WAIT, parameters)
    await failing
    assert await count(database, "SELECT count(*) FROM executions WHERE status = 'blocked'") == 0


@pytest.mark.parametrize("kind", ["paused", "cancelled"])
async def test_one_that_is_changed_at_the_same_time_ends_once(
    database: Database, kind: str
) -> None:
    first = await open_execution(database)
    [waiting] = await wait(database, first, [first.id])
    async with database.transaction() as session:
        row = await queries.lock_existing(session, waiting)
        if kind == "paused":
            await lifecycle.request_pause(session, row, is_paused=True)
        else:
            await cascade.cancel_tree(session, waiting, None)
        failing = await start_waiting(database, first)
    await failing
    async with database.reading() as session:
        row = await session.get_one(ExecutionRow, waiting)
    assert row.status == ("failed" if kind == "paused" else "cancelled")
    assert row.pause_requested_at is None
    ends = "SELECT count(*) FROM execution_events WHERE type ~ 'failed|cancelled'"
    assert await count(database, ends) == 1
