"""Upkeep mends what differs between Postgres and Temporal."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from activities.reconciler import Reconciler
from domain.errors import ErrorCode
from domain.states import ExecutionStatus
from services.executions import finishing
from tests.engine.driver import Engine, Run, use
from tests.waiting import eventually

ASK = {"tool_use": use("ask_user", question="?")}
LONG_AGO = timedelta(minutes=2)


async def waiting(engine: Engine) -> Run:
    """An execution that waits for a person, and is old enough for upkeep to look at."""
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    await run.open_request()
    await age(engine)
    return run


async def age(engine: Engine) -> None:
    async with engine.database.transaction() as session:
        await session.execute(
            text("UPDATE executions SET created_at = created_at - CAST(:ago AS interval)"),
            {"ago": LONG_AGO},
        )


async def test_a_terminated_workflow_fails_its_execution(engine: Engine) -> None:
    run = await waiting(engine)
    await run.handle.terminate("by an operator")

    await Reconciler(engine.database, engine.dispatcher).look()

    row = await run.ended()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.TERMINATED)
    assert row.error_message == "The workflow was terminated in Temporal."
    assert [request.status for request in await run.requests()] == ["cancelled"]
    assert (await run.event_types())[-1] == "execution.failed"


async def test_what_stands_well_is_left_alone(engine: Engine) -> None:
    run = await waiting(engine)
    before = await run.event_types()

    await Reconciler(engine.database, engine.dispatcher).look()

    assert await run.event_types() == before
    await run.answer(await run.open_request(), decision="approve", message="yes")
    assert (await run.ended()).status == ExecutionStatus.COMPLETED


async def test_a_lost_workflow_is_started_again(engine: Engine) -> None:
    run = await engine.start({"text": "done"}, dispatch=False)
    await age(engine)

    await Reconciler(engine.database, engine.dispatcher).look()

    async def is_known() -> bool:
        return (await engine.dispatcher.state((await run.row()).workflow_id)) is not None

    await eventually(is_known)
    assert (await run.ended()).status == ExecutionStatus.COMPLETED


async def overdue(engine: Engine, *runs: Run) -> None:
    """Let their deadline pass."""
    async with engine.database.transaction() as session:
        await session.execute(
            text("UPDATE executions SET deadline_at = now() WHERE id = ANY(:ids)"),
            {"ids": [run.id for run in runs]},
        )


async def blocked(engine: Engine, first: Run, reason: str) -> Run:
    """One that waits for the first to be completed, or for its session."""
    if reason == "session_busy":
        return await engine.start({"text": "x"}, session_id=(await first.row()).session_id)
    return await engine.start({"text": "x"}, waits_for=[first.id])


@pytest.mark.parametrize("reason", ["session_busy", "prerequisites"])
async def test_a_blocked_one_ends_at_its_deadline(engine: Engine, reason: str) -> None:
    first = await waiting(engine)
    run, in_time = await blocked(engine, first, reason), await blocked(engine, first, reason)
    behind = await blocked(engine, run, "prerequisites")
    await overdue(engine, first, run)

    await Reconciler(engine.database, engine.dispatcher).look()

    row = await run.ended()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.DEADLINE_PASSED)
    assert row.error_message == "The deadline passed before it could start."
    [*_, last] = await run.events()
    assert (last.type, last.data["error_code"]) == ("execution.failed", "deadline_passed")
    assert (await behind.ended()).error_code == ErrorCode.PREREQUISITE_FAILED
    # What runs sees to its deadline itself, and what has one ahead goes on waiting.
    assert (await first.row()).status == ExecutionStatus.WAITING_FOR_USER
    assert (await in_time.row()).status == ExecutionStatus.BLOCKED
    async with engine.database.transaction() as session:
        await finishing.end_overdue(session, run.id)
    assert (await run.events())[-1].seq == last.seq
    await first.answer(await first.open_request(), message="yes")
    await first.ended()
