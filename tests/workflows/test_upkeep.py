"""Upkeep mends what differs between Postgres and Temporal."""

from datetime import timedelta

from sqlalchemy import text

from activities.upkeep import Upkeep
from domain.errors import ErrorCode
from domain.states import ExecutionStatus
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

    await Upkeep(engine.database, engine.dispatcher).look()

    row = await run.ended()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.TERMINATED)
    assert row.error_message == "The workflow was terminated in Temporal."
    assert [request.status for request in await run.requests()] == ["cancelled"]
    assert (await run.event_types())[-1] == "execution.failed"


async def test_what_stands_well_is_left_alone(engine: Engine) -> None:
    run = await waiting(engine)
    before = await run.event_types()

    await Upkeep(engine.database, engine.dispatcher).look()

    assert await run.event_types() == before
    await run.answer(await run.open_request(), decision="approve", message="yes")
    assert (await run.ended()).status == ExecutionStatus.COMPLETED


async def test_a_lost_workflow_is_started_again(engine: Engine) -> None:
    run = await engine.start({"text": "done"}, dispatch=False)
    await age(engine)

    await Upkeep(engine.database, engine.dispatcher).look()

    async def is_known() -> bool:
        return (await engine.dispatcher.state((await run.row()).workflow_id)) is not None

    await eventually(is_known)
    assert (await run.ended()).status == ExecutionStatus.COMPLETED
