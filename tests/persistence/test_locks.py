"""The order of locks: two transactions wait for each other and both complete, in either order."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.states import ExecutionStatus
from domain.executions.steps import Step
from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions import cascade, prerequisites, queries
from persistence.executions.lifecycle import Ended
from persistence.sessions import fork_points, sessions
from persistence.tables.sessions import ModelCallRow, SessionRow
from services.executions import finishing
from tests.engine.storing import store
from tests.persistence.opened import HOST, Opened, intent, open_execution
from tests.waiting import eventually

T = TypeVar("T")


async def finish(execution: Opened, status: str = ExecutionStatus.COMPLETED) -> Ended:
    async with execution.database.transaction() as session:
        return await finishing.finish(
            session,
            execution.id,
            execution.identity(2),
            status=ExecutionStatus(status),
            error_code=None,
        )


@asynccontextmanager
async def waiting_transaction(
    database: Database, other: Coroutine[Any, Any, T]
) -> AsyncIterator[asyncio.Task[T]]:
    """Run another transaction until it waits for a lock; it must end after the block."""
    task = asyncio.create_task(other)

    async def is_waiting() -> bool:
        async with database.reading() as session:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return task.done() or bool(await session.scalar(text(waiting)))

    await eventually(is_waiting)
    yield task


async def session_id_of(execution: Opened) -> Any:
    return (await execution.row()).session_id


async def waits_in(execution: Opened, session_id: Any) -> Opened:
    """One that waits for an execution, in a session."""
    row = await execution.row()
    waiting = await store(
        execution.database,
        row.user_id,
        [{"text": "x"}],
        session_id=session_id,
        waits_for=[execution.id],
    )
    return Opened(execution.database, waiting.id, waiting.workflow_id)


async def test_an_end_that_releases_and_a_start_in_that_session(database: Database) -> None:
    first, other = await open_execution(database), await open_execution(database)
    user_id, session_id = (await first.row()).user_id, await session_id_of(other)
    waiting = await waits_in(first, session_id)
    async with database.transaction() as session:
        await sessions.lock(session, session_id)
        async with waiting_transaction(database, finish(first)) as ending:
            await queries.is_session_busy(session, session_id)
            statuses = await prerequisites.lock_statuses(session, user_id, [first.id])
            assert statuses == {first.id: ExecutionStatus.RUNNING}
    assert (await ending).status == ExecutionStatus.COMPLETED
    assert (await waiting.row()).status_reason == "session_busy"
    await finish(other)
    assert (await waiting.row()).status == ExecutionStatus.PENDING


async def test_an_end_that_releases_and_an_end_in_that_session(database: Database) -> None:
    first, other = await open_execution(database), await open_execution(database)
    session_id = await session_id_of(other)
    one = await waits_in(first, session_id)
    two = await waits_in(other, await session_id_of(first))
    async with database.transaction() as session:
        # Both ends wait here, and then for one another if they take their sessions in turn.
        await queries.lock(session, one.id)
        await queries.lock(session, two.id)
        async with (
            waiting_transaction(database, finish(first)) as ending,
            waiting_transaction(database, finish(other)) as other_ending,
        ):
            pass
    await asyncio.gather(ending, other_ending)
    assert [(await run.row()).status for run in (one, two)] == ["pending", "pending"]


async def test_a_fork_and_a_start_in_its_origins_session(database: Database) -> None:
    origin = await open_execution(database)
    session_id = await session_id_of(origin)

    async def start() -> None:
        async with database.transaction() as session:
            await sessions.lock(session, session_id)
            assert await queries.is_session_busy(session, session_id)

    async with database.transaction() as session:
        row = await queries.lock(session, origin.id)
        assert row is not None
        async with waiting_transaction(database, start()) as starting:
            conversation = await session.get_one(SessionRow, session_id)
            point = await fork_points.find_start(session, row)
            await fork_points.create_session(session, row, conversation, point)
    await starting


async def test_a_worker_that_takes_the_workspace_and_a_start(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    user_id, session_id = (await execution.row()).user_id, await session_id_of(execution)
    async with database.transaction() as session:
        await sessions.lock(session, session_id)
        async with waiting_transaction(database, execution.writer(1)) as taking:
            await queries.is_session_busy(session, session_id)
            await prerequisites.lock_statuses(session, user_id, [execution.id])
    await taking
    async with database.reading() as session:
        row = await session.get_one(SessionRow, session_id)
        assert row.workspace_host_id == HOST


async def test_a_cancel_from_above_and_the_end_of_one_in_the_middle(database: Database) -> None:
    top = await open_execution(database)
    middle = await open_execution(database, columns={"parent_execution_id": top.id, "depth": 1})
    bottom = await open_execution(database, columns={"parent_execution_id": middle.id, "depth": 2})
    await ask(middle)

    async def cancel() -> None:
        async with database.transaction() as session:
            await cascade.cancel_tree(session, top.id, "enough")

    async with database.transaction() as session:
        # An end stops here in its midst.
        await session.execute(text("SELECT id FROM input_requests FOR UPDATE"))
        async with waiting_transaction(database, finish(middle, "failed")) as ending:
            canceling = asyncio.create_task(cancel())
            await eventually(lambda: waiting_for_locks(database, 2))
    await asyncio.gather(ending, canceling)
    assert (await bottom.row()).cancel_requested_at is not None


async def ask(execution: Opened) -> None:
    async with execution.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO input_requests "
                "(id, execution_id, user_id, kind, title, status, on_expiry) "
                "SELECT :request, id, user_id, 'question', '?', 'open', 'fail' "
                "FROM executions WHERE id = :id"
            ),
            {"request": new_id(), "id": execution.id},
        )


async def waiting_for_locks(database: Database, count: int) -> bool:
    async with database.reading() as session:
        waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        return int(await session.scalar(text(waiting)) or 0) >= count


async def test_a_lost_call_that_its_own_attempt_settles_late(database: Database) -> None:
    execution = await open_execution(database)
    call = intent(estimate_usd=Decimal("0.25"))
    await (await execution.writer(1)).write(Step(call_intent=call))
    late = execution.record(2)
    async with database.transaction() as session:
        await queries.lock(session, execution.id)
        async with waiting_transaction(database, late._charge_lost_call()) as charging:
            await touch(session, call.id)
    lost = await charging
    assert lost is not None
    assert lost.request_sha256 == call.request_sha256


async def touch(session: AsyncSession, call_id: Any) -> None:
    await session.execute(
        update(ModelCallRow).where(ModelCallRow.id == call_id).values(first_token_ms=1)
    )
