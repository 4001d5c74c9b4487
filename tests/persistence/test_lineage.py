"""Reading what forks share: by an index at every step, and nothing at all for other sessions."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.ids import new_id
from persistence.db.database import Database
from persistence.sessions import lineage
from persistence.sessions.fork_points import ForkPoint, create_session
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from tests.persistence.opened import Opened, open_execution

MANY = """
INSERT INTO messages (id, session_id, execution_id, seq, role, content, superseded_at)
SELECT uuidv7(), CASE s WHEN 0 THEN CAST(:session_id AS uuid) ELSE new_id END,
    :execution_id, 1 + n, 'user', '[]', CASE WHEN n % 10 = 0 THEN now() END
FROM (SELECT s, uuidv7() AS new_id FROM generate_series(0, 99) AS s) AS conversations,
    generate_series(1, 400) AS n
"""
"""A hundred conversations of 400 messages, every tenth set aside."""


async def fork(database: Database, execution: Opened, origin: UUID | None, seq: int) -> UUID:
    async with database.transaction() as session:
        source = await session.get_one(ExecutionRow, execution.id)
        conversation = await session.get_one(SessionRow, origin or source.session_id)
        return (await create_session(session, source, conversation, ForkPoint(seq))).id


async def test_a_fork_of_a_long_conversation_is_read_by_indexes(database: Database) -> None:
    execution = await open_execution(database)
    row = await execution.row()
    async with database.transaction() as session:
        values = {"session_id": row.session_id, "execution_id": execution.id}
        await session.execute(text(MANY), values)
    async with database.engine.connect() as connection:
        commit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await commit.execute(text("VACUUM ANALYZE messages"))
    first = await fork(database, execution, None, 390)
    second = await fork(database, execution, first, 100)
    expected = 1 + sum(n % 10 != 0 for n in range(1, 100))
    assert len(await lineage.load_transcript(database, second)) == expected
    for statement, parameters in (
        (lineage.TRANSCRIPT, {"session_id": second}),
        (lineage.LATEST, {"session_id": second, "limit": 5}),
    ):
        async with database.reading() as session:
            explained = await session.scalar(
                text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}"), parameters
            )
        assert "messages" not in scans(explained[0]["Plan"])


def scans(plan: dict[str, Any]) -> list[str]:
    """Tables that are read whole."""
    own = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return own + [table for child in plan.get("Plans", []) for table in scans(child)]


async def test_what_is_no_fork_shares_nothing(database: Database) -> None:
    execution = await open_execution(database)
    row = await execution.row()
    assert row.session_id is not None
    assert [m.seq for m in await lineage.load_transcript(database, row.session_id)] == [1]
    assert await lineage.find_last_message(database, new_id()) is None
