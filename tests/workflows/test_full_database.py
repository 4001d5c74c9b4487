"""Postgres refuses writes because its disk is full: no answer of a call is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from domain.executions.states import ExecutionStatus
from tests.engine.driver import Engine, use
from tests.engine.running import WorkerPlace
from tests.waiting import eventually

REFUSE = """
CREATE SEQUENCE refused_writes;
CREATE FUNCTION refuse_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM nextval('refused_writes');
    RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse_write();
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON blobs FOR EACH ROW EXECUTE FUNCTION refuse_write();
"""
"""As with a full disk, new rows are refused, and small changes of rows succeed."""

ACCEPT = "DROP FUNCTION IF EXISTS refuse_write CASCADE; DROP SEQUENCE IF EXISTS refused_writes"


@asynccontextmanager
async def full_database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Refuse new messages and files while the block runs."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(REFUSE)
    try:
        yield connection
    finally:
        await connection.execute(ACCEPT)
        await connection.close()


async def wait_until_refused(connection: asyncpg.Connection, times: int) -> None:
    """Wait until that many writes were refused."""

    async def is_refused() -> bool:
        count: int = await connection.fetchval("SELECT last_value FROM refused_writes")
        return count >= times

    await eventually(is_refused, what="refused writes")


async def test_an_answer_is_recorded_when_the_database_has_space_again(
    engine: Engine, engine_place: WorkerPlace
) -> None:
    gate = engine.gate()
    run = await engine.start({"text": "done", "gate": gate.name})
    await run.wait_for_model_call()
    async with full_database(engine_place.database_url) as connection:
        gate.open()
        await wait_until_refused(connection, 3)
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert [call.status for call in await run.model_calls()] == ["succeeded"]
    assert (await run.row()).attempt == 1


async def test_a_file_is_stored_when_the_database_has_space_again(
    engine: Engine, engine_place: WorkerPlace
) -> None:
    run = await engine.start(
        {"tool_use": use("bash", command="touch began; until [ -e go ]; do sleep 0.1; done")},
        {"text": "done"},
        allowed_tools=["bash"],
    )
    await run.wait_for_tool_call()
    workspace = await run.workspace()
    async with full_database(engine_place.database_url) as connection:
        (workspace / "go").touch()
        await wait_until_refused(connection, 3)
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    [call] = await run.tool_calls()
    assert (call.status, call.output) == ("succeeded", "[exit code 0]")
    assert (await run.row()).attempt == 1
