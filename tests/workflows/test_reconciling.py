"""The reconciler repairs differences between Postgres and Temporal."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from domain.errors import AlreadyAnsweredError, ErrorCode, ExecutionTerminalError
from domain.executions.states import ExecutionStatus
from services.executions import finishing
from services.executions.reconciling import ExecutionReconciler, fail_if_terminated
from tests.engine.driver import Engine, Run, use
from tests.waiting import eventually

ASK = {"tool_use": use("ask_user", question="?")}
LONG_AGO = timedelta(minutes=2)


async def waiting(engine: Engine) -> Run:
    """Start an execution that waits for a person and is old enough to be compared."""
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    await run.wait_for_request()
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

    await ExecutionReconciler(engine.database, engine.dispatcher).sweep()

    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.TERMINATED)
    assert row.error_message == "The workflow was terminated in Temporal."
    assert [request.status for request in await run.requests()] == ["cancelled"]
    assert (await run.event_types())[-1] == "execution.failed"


async def test_an_answer_after_a_termination_says_so_and_fails_the_execution(
    engine: Engine,
) -> None:
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    request = await run.wait_for_request()
    await run.handle.terminate("by an operator")

    with pytest.raises(ExecutionTerminalError, match="was terminated in Temporal"):
        await run.answer(request, decision="approve", message="yes")

    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.TERMINATED)
    with pytest.raises(AlreadyAnsweredError, match="This request is answered"):
        await run.answer(request, decision="approve", message="yes")


async def test_a_message_after_a_termination_fails_the_execution(engine: Engine) -> None:
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    await run.wait_for_request()
    await run.handle.terminate("by an operator")

    await run.say("Are you there?")

    row = await run.row()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.TERMINATED)


async def test_an_answer_to_a_workflow_that_has_just_completed_is_no_termination(
    engine: Engine,
) -> None:
    run = await engine.start({"text": "done"})
    await run.wait_for_end()
    await run.handle.result()

    row = await run.row()
    is_terminated = await fail_if_terminated(
        engine.database, engine.dispatcher, row.id, row.workflow_id
    )

    assert not is_terminated
    assert (await run.row()).status == ExecutionStatus.COMPLETED


async def test_a_running_workflow_is_not_changed(engine: Engine) -> None:
    run = await waiting(engine)
    before = await run.event_types()

    await ExecutionReconciler(engine.database, engine.dispatcher).sweep()

    assert await run.event_types() == before
    await run.answer(await run.wait_for_request(), decision="approve", message="yes")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_a_lost_workflow_is_started_again(engine: Engine) -> None:
    run = await engine.start({"text": "done"}, dispatch=False)
    await age(engine)

    await ExecutionReconciler(engine.database, engine.dispatcher).sweep()

    async def is_known() -> bool:
        return (await engine.dispatcher.state((await run.row()).workflow_id)) is not None

    await eventually(is_known)
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def overdue(engine: Engine, *runs: Run) -> None:
    """Set their deadline to now."""
    async with engine.database.transaction() as session:
        await session.execute(
            text("UPDATE executions SET deadline_at = now() WHERE id = ANY(:ids)"),
            {"ids": [run.id for run in runs]},
        )


async def start_blocked(engine: Engine, first: Run, reason: str) -> Run:
    """Start an execution that waits for the first one or for its session."""
    if reason == "session_busy":
        return await engine.start({"text": "x"}, session_id=(await first.row()).session_id)
    return await engine.start({"text": "x"}, waits_for=[first.id])


@pytest.mark.parametrize("reason", ["session_busy", "prerequisites"])
async def test_a_blocked_execution_fails_at_its_deadline(engine: Engine, reason: str) -> None:
    first = await waiting(engine)
    run, in_time = (
        await start_blocked(engine, first, reason),
        await start_blocked(engine, first, reason),
    )
    behind = await start_blocked(engine, run, "prerequisites")
    await overdue(engine, first, run)

    await ExecutionReconciler(engine.database, engine.dispatcher).sweep()

    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.DEADLINE_PASSED)
    assert row.error_message == "The deadline passed before it could start."
    [*_, last] = await run.events()
    assert (last.type, last.data["error_code"]) == ("execution.failed", "deadline_passed")
    assert (await behind.wait_for_end()).error_code == ErrorCode.PREREQUISITE_FAILED
    # A running execution checks its own deadline; one that has not passed changes nothing.
    assert (await first.row()).status == ExecutionStatus.WAITING_FOR_USER
    assert (await in_time.row()).status == ExecutionStatus.BLOCKED
    async with engine.database.transaction() as session:
        await finishing.end_overdue(session, run.id)
    assert (await run.events())[-1].seq == last.seq
    await first.answer(await first.wait_for_request(), message="yes")
    await first.wait_for_end()
