"""The state of the queue is counted up to a bound, from an index alone."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from domain.executions.states import TERMINAL
from persistence.db.database import Database
from persistence.executions import leases, planned_work, queue_state
from persistence.executions.leases import Lease
from persistence.executions.queue_state import FinishedFilter
from persistence.identity import users

ROWS, MOST = 3_000, 100

ONLY = ("Index Only Scan", "ix_executions_queued")

FILL = text("""
INSERT INTO executions (id, user_id, title, agent_id, executor, tags, trigger_type,
    trigger_metadata, prompt_variables, missing_variables, rendered_prompt, status, priority,
    depth, calculated_priority, workflow_id, definition)
SELECT id, :user_id, 'work', CASE n % 3 WHEN 0 THEN NULL ELSE 'agent-' || n % 3 END, 'external',
    '{}', 'api', '{}', '{}', '[]', 'Work.',
    CASE WHEN n % 3 = 1 AND n > 30 THEN 'completed' ELSE 'pending' END, 5, 0, 50,
    'execution-' || id, '{"prompt_template": "Work."}'
FROM (SELECT n, uuidv7() AS id FROM generate_series(1, CAST(:rows AS int)) AS n) AS made
""")


@pytest.fixture
async def user_id(database: Database, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A user with much work for two agents, and for none."""
    monkeypatch.setattr(queue_state, "MOST_COUNTED", MOST)
    async with database.transaction() as session:
        user = await users.find_or_create(session, "alice", "user")
        found = user.id
        await session.execute(FILL, {"user_id": found, "rows": ROWS})
    await _vacuum(database)
    return found


async def _vacuum(database: Database) -> None:
    async with database.engine.connect() as connection:
        commit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await commit.execute(text("VACUUM ANALYZE executions"))


@pytest.fixture
async def finished_id(database: Database, user_id: UUID) -> UUID:
    """The newest work of that user, which is finished as all of it; the rest is pruned."""
    async with database.transaction() as session:
        finished_id: UUID = await session.scalar(text("SELECT max(id::text)::uuid FROM executions"))
        await session.execute(
            text("""
                UPDATE executions SET status = 'completed', completed_at = now(),
                    archived_at = CASE WHEN id <> :id THEN now() END
                WHERE user_id = :user_id
            """),
            {"id": finished_id, "user_id": user_id},
        )
    await _vacuum(database)
    return finished_id


@pytest.fixture
async def newly_completed(database: Database, user_id: UUID) -> None:
    """Much work of that user was completed since Postgres last read the table."""
    async with database.transaction() as session:
        await session.execute(text("UPDATE executions SET status = 'pending'"))
    await _vacuum(database)
    async with database.transaction() as session:
        complete = text("""
            UPDATE executions SET status = 'completed'
            WHERE user_id = :user_id AND agent_id IS NOT NULL
        """)
        await session.execute(complete, {"user_id": user_id})


@pytest.fixture
async def explained(database: Database, user_id: UUID) -> AsyncIterator[UUID]:
    """The user; what the test runs may only read few rows, from the index."""
    ran: list[tuple[str, Any]] = []
    engine = database.engine.sync_engine

    def record(*args: Any) -> None:
        ran.append((args[2], args[3]))

    event.listen(engine, "before_cursor_execute", record)
    yield user_id
    event.remove(engine, "before_cursor_execute", record)
    async with database.engine.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))  # the table is small
        for statement, parameters in ran:
            explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
            result = await connection.exec_driver_sql(explain, parameters)
            for scan in _scans(result.scalar_one()[0]["Plan"]):
                is_only = (scan["Node Type"], scan.get("Index Name")) == ONLY
                most = MOST + 1 if is_only else 1
                assert scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) <= most, scan


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes that read executions."""
    if plan.get("Relation Name") == "executions":
        yield plan
    for child in plan.get("Plans", []):
        yield from _scans(child)


async def test_the_work_of_a_user_is_counted_from_an_index(
    database: Database, explained: UUID
) -> None:
    async with database.reading() as session:
        counted = await queue_state.count_work(session, explained)
        newest = await queue_state.find_newest(session, explained)
    assert [(one.agent_id, one.status, one.number, one.is_capped) for one in counted] == [
        (None, "pending", MOST, True),
        ("agent-1", "completed", MOST, True),
        ("agent-1", "pending", 10, False),
        ("agent-2", "pending", MOST, True),
    ]
    assert {one.average_priority for one in counted} == {50}
    assert newest is not None
    assert newest >= counted[0].oldest_at


@pytest.mark.usefixtures("explained")
async def test_the_pending_work_of_all_users_is_counted_from_an_index(database: Database) -> None:
    async with database.reading() as session:
        pending = await queue_state.list_pending(session)
    found = {one.agent_id: one.number for one in pending}
    assert found == {None: MOST, "agent-1": 10, "agent-2": MOST}


async def test_young_work_is_not_read_to_find_stale_work(
    database: Database, explained: UUID
) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    async with database.reading() as session:
        found = await planned_work.list_stale(session, explained, before=an_hour_ago, limit=10)
    assert found == []


async def test_pruned_work_is_not_read_to_find_finished_work(
    database: Database, finished_id: UUID, explained: UUID
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    finished = FinishedFilter(ids=(), statuses=sorted(TERMINAL), ended_before=later)
    async with database.reading() as session:
        found = await queue_state.list_finished(session, explained, finished, limit=10)
    assert [row.id for row in found] == [finished_id]


@pytest.mark.usefixtures("newly_completed", "explained")
async def test_a_claim_does_not_read_completed_work_of_which_postgres_has_no_statistics(
    database: Database, user_id: UUID
) -> None:
    async with database.reading() as session:
        found = await leases.claim_next(session, user_id, Lease(claimed_by="worker", seconds=60))
    assert found is not None
    assert found.prerequisites == []
