"""Cancelling, from the gateway and from Temporal, at every moment of an execution.

How soon current steps end is measured in `bench/cases/cancel.py`; here they end, long before they
would by themselves.
"""

import os
import signal
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from domain.errors import ExecutionTerminalError
from domain.executions.states import ExecutionStatus
from persistence.executions.cascade import cancel_tree
from persistence.tables.ledger import AuditRow
from persistence.tables.sessions import ToolCallRow
from tests.engine.driver import Engine, Run, use
from tests.waiting import eventually

SLEEP = {"tool_use": use("bash", command="sleep 600 & sleep 600")}
SLOW = {"text": "x", "delay_ms": 600_000}


async def cancel(run: Run, how: str) -> None:
    """Cancel by one of the two ways."""
    if how == "gateway":
        await run.cancel("enough")
    else:
        await run.handle.cancel()


def group_members(group: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


async def check_cancelled(run: Run, how: str) -> None:
    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.CANCELLED, None)
    assert row.cancel_reason == ("enough" if how == "gateway" else None)
    assert (await run.events())[-1].type == "execution.cancelled"


@pytest.mark.parametrize("how", ["gateway", "temporal"])
async def test_during_a_model_call(engine: Engine, how: str) -> None:
    run = await engine.start(SLOW, title=f"slow by {how}")
    call = await engine.wait_for_model_request(f"slow by {how}")
    await cancel(run, how)

    async def disconnected() -> bool:
        return call.outcome == "disconnected"

    await eventually(disconnected)
    await check_cancelled(run, how)
    [recorded] = await run.model_calls()
    # When Temporal cancels, the end may be recorded before the activity's next heartbeat.
    assert recorded.status in ({"cancelled"} if how == "gateway" else {"cancelled", "lost"})
    assert recorded.cost_usd == recorded.estimate_usd


@pytest.mark.parametrize("how", ["gateway", "temporal", "terminate"])
async def test_during_a_command(engine: Engine, how: str) -> None:
    run = await engine.start(SLEEP, allowed_tools=["bash"])
    call = await run.wait_for_tool_call()
    assert call.process_group is not None
    group = call.process_group
    assert group_members(group)
    if how == "terminate":
        await run.handle.terminate()
    else:
        await cancel(run, how)

    async def gone() -> bool:
        return not group_members(group)

    await eventually(gone)
    if how != "terminate":
        await check_cancelled(run, how)


@pytest.mark.parametrize("how", ["gateway", "temporal"])
async def test_cancel_while_it_waits_for_a_person(engine: Engine, how: str) -> None:
    run = await engine.start(
        {"tool_use": use("ask_user", question="?")}, {"text": "x"}, allowed_tools=["ask_user"]
    )
    await run.wait_for_request()
    await cancel(run, how)
    await check_cancelled(run, how)
    [request] = await run.requests()
    assert request.status == "cancelled"


async def test_before_its_workflow_starts(engine: Engine) -> None:
    run = await engine.start({"text": "x"}, dispatch=False)
    await run.cancel("enough")
    await check_cancelled(run, "gateway")
    assert not await run.model_calls()


async def test_a_blocked_one_ends_at_once(engine: Engine) -> None:
    first = await engine.start(
        {"tool_use": use("ask_user", question="?")}, {"text": "x"}, allowed_tools=["ask_user"]
    )
    await first.wait_for_request()
    session_id = (await first.row()).session_id
    second = await engine.start({"text": "y"}, session_id=session_id)
    await second.cancel()
    assert (await second.row()).status == ExecutionStatus.CANCELLED
    async with engine.database.reading() as session:
        entries = await session.scalars(select(AuditRow).where(AuditRow.entity_id == second.id))
        actions = {entry.action for entry in entries}
    assert actions == {"task.execute", "execution.cancel", "execution.cancelled"}
    await first.cancel()
    await first.wait_for_end()


async def test_after_it_has_completed_nothing_changes(engine: Engine) -> None:
    run = await engine.run_to_completion({"text": "x"})
    before = await run.row()
    with pytest.raises(ExecutionTerminalError):
        await run.cancel("too late")
    row = await run.row()
    assert (row.status, row.cancel_requested_at) == (before.status, None)


async def test_a_cancel_wins_over_an_answer_that_came_with_it(engine: Engine) -> None:
    run = await engine.start(
        {"tool_use": use("ask_user", question="?")}, {"text": "x"}, allowed_tools=["ask_user"]
    )
    request = await run.wait_for_request()
    async with engine.database.transaction() as session:
        await run.store_answer(session, request, message="yes")
        await cancel_tree(session, run.id, "enough")
    await run.wake()
    await check_cancelled(run, "gateway")
    [request] = await run.requests()
    assert request.status == "answered"


@pytest.mark.parametrize("command", ["trap '' TERM INT HUP; sleep 600", "setsid sleep 600 & wait"])
async def test_commands_that_resist(engine: Engine, command: str) -> None:
    run = await engine.start({"tool_use": use("bash", command=command)}, allowed_tools=["bash"])
    call = await run.wait_for_tool_call()
    assert call.process_group is not None
    await cancel(run, "gateway")
    group = call.process_group

    async def gone() -> bool:
        return not group_members(group)

    await eventually(gone)
    await check_cancelled(run, "gateway")


async def test_a_command_that_was_killed_is_a_result(engine: Engine) -> None:
    run = await engine.start(SLEEP, {"text": "{last_tool_result}"}, allowed_tools=["bash"])
    call: ToolCallRow = await run.wait_for_tool_call()
    assert call.process_group is not None
    os.killpg(call.process_group, signal.SIGKILL)
    row: Any = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
