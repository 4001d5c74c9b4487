"""A completion in one statement sees what is added while it waits for the locks."""

import pytest
from sqlalchemy import text

from domain.executions.states import ExecutionStatus
from persistence.db.database import Database
from persistence.executions import lone_ends, queries
from persistence.sessions import sessions
from tests.engine.storing import store
from tests.persistence.opened import open_execution
from tests.persistence.test_locks import session_id_of, waiting_transaction

ADDITIONS = {
    "a dependent": "INSERT INTO execution_prerequisites (execution_id, prerequisite_id) "
    "VALUES (:other, :id)",
    "an execution in its session": "UPDATE executions SET session_id = :session_id, "
    "status = 'blocked', status_reason = 'session_busy' WHERE id = :other",
    "a message": "INSERT INTO signals (id, execution_id, kind, payload, wake_at) "
    "VALUES (:other, :id, 'message', '{}', now())",
    "a cancellation": "UPDATE executions SET cancel_requested_at = now() WHERE id = :id",
    "a plan to write": "INSERT INTO plan_generations (execution_id, request, corrections) "
    "VALUES (:id, '{}', 0)",
}


async def test_an_execution_on_which_nothing_depends_is_completed(database: Database) -> None:
    execution = await open_execution(database)
    ended = await lone_ends.complete(database.raw, execution.id, execution.identity(2))
    assert ended is not None
    assert ended.status == ExecutionStatus.COMPLETED
    assert (await execution.row()).status == ExecutionStatus.COMPLETED
    assert await lone_ends.complete(database.raw, execution.id, execution.identity(2)) is None


@pytest.mark.parametrize("added", ADDITIONS)
async def test_nothing_is_written_if_something_is_added_meanwhile(
    database: Database, added: str
) -> None:
    execution = await open_execution(database)
    session_id = await session_id_of(execution)
    other = await store(database, (await execution.row()).user_id, [{"text": "x"}])
    ids = {"id": execution.id, "other": other.id, "session_id": session_id}
    async with database.transaction() as session:
        await sessions.lock(session, session_id)
        await queries.lock_existing(session, execution.id)
        completion = lone_ends.complete(database.raw, execution.id, execution.identity(2))
        async with waiting_transaction(database, completion) as completing:
            statement = text(ADDITIONS[added])
            needed = {name: ids[name] for name in statement.compile().params}
            await session.execute(statement, needed)
    assert await completing is None
    assert (await execution.row()).status == ExecutionStatus.RUNNING
