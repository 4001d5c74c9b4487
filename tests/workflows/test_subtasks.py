"""Subtasks on the real engine: child workflows, and how they end with their parents."""

import asyncio
import json
from typing import Any

import pytest

from contracts import policies
from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from tests.engine.driver import Engine, Run, Turn, script, use
from tests.workflows.test_resets import ask_to_reset, reset

DELEGATE: dict[str, Any] = {"allowed_tools": ["delegate"]}
LAST_RESULT = {"text": "{last_tool_result}"}


def delegate(*turns: Turn, **fields: Any) -> dict[str, Any]:
    """A subtask with a script of its own."""
    return use("delegate", title="part", prompt=script(*turns), **fields)


async def find_child(run: Run) -> Run:
    [child] = await run.children()
    return child


async def test_a_result_comes_back(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"tool_use": delegate({"text": "42"})}, LAST_RESULT, **DELEGATE
    )
    assert await run.text() == "42"
    row = await (await find_child(run)).wait_for_end()
    assert (row.trigger_type, row.depth, row.status) == ("subtask", 1, ExecutionStatus.COMPLETED)
    assert row.session_id != (await run.row()).session_id
    types = await run.event_types()
    assert types.index("subtask.started") < types.index("subtask.completed")


async def test_the_workflow_tasks_of_a_dead_worker_are_repeated_soon(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"tool_use": delegate({"text": "42"})}, LAST_RESULT, **DELEGATE
    )
    for each in (run, await find_child(run)):
        [started, *_] = (await each.handle.fetch_history()).events
        timeout = started.workflow_execution_started_event_attributes.workflow_task_timeout
        assert timeout.ToTimedelta() == policies.WORKFLOW_TASK


async def test_a_cancel_reaches_the_whole_tree(engine: Engine) -> None:
    waiting = delegate({"tool_use": use("ask_user", question="?")}, LAST_RESULT)
    calling = delegate({"text": "x", "delay_ms": 60_000})
    middle = delegate({"tool_use": [waiting, calling]}, LAST_RESULT)
    run = await engine.start(
        {"tool_use": middle}, LAST_RESULT, allowed_tools=["delegate", "ask_user"]
    )
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    child = await find_child(run)
    await child.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    asking, busy = await child.children()
    await asking.wait_for_request()
    await busy.wait_for_model_call()
    await run.cancel("enough")
    rows = await asyncio.gather(*(r.wait_for_end() for r in (run, child, asking, busy)))
    assert {row.status for row in rows} == {ExecutionStatus.CANCELLED}
    assert {row.cancel_reason for row in rows} == {"enough"}


@pytest.mark.parametrize("how", ["deadline", "temporal"])
async def test_subtasks_end_with_a_parent_that_ends(engine: Engine, how: str) -> None:
    run = await engine.start(
        {"tool_use": delegate({"tool_use": use("ask_user", question="?")}, LAST_RESULT)},
        LAST_RESULT,
        allowed_tools=["delegate", "ask_user"],
    )
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    child = await find_child(run)
    await child.wait_for_request()
    if how == "temporal":
        await run.handle.cancel()
    else:
        await run.set_deadline_to_now()
        await run.wake()
    row = await run.wait_for_end()
    assert row.error_code == (ErrorCode.DEADLINE_PASSED if how == "deadline" else None)
    assert (await child.wait_for_end()).status == ExecutionStatus.CANCELLED


async def test_a_subtask_that_was_not_started_is_cancelled(engine: Engine) -> None:
    """Its row is stored and its parent has not started it: nothing else would end it."""
    run = await engine.start({"tool_use": delegate({"text": "x"})}, LAST_RESULT, **DELEGATE)
    await run.wait_for_end()
    child = await find_child(run)
    async with engine.database.transaction() as session:
        row = await session.get_one(type(await child.row()), child.id)
        row.status, row.completed_at, row.parent_execution_id = "pending", None, run.id
        row.run_epochs = {}
    await child.cancel()
    assert (await child.row()).status == ExecutionStatus.CANCELLED


async def test_one_call_starts_many_that_run_side_by_side(engine: Engine) -> None:
    """Each waits for a person: all of them run before any has ended."""
    asking: list[Turn] = [{"tool_use": use("ask_user", question="?")}, {"text": "answered"}]
    parts = [{"title": f"part {n}", "prompt": script(*asking)} for n in range(3)]
    run = await engine.start(
        {"tool_use": use("delegate_many", subtasks=parts)},
        LAST_RESULT,
        allowed_tools=["delegate_many", "ask_user"],
    )
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    children = await run.children()
    requests = [await child.wait_for_request() for child in children]
    await children[1].cancel()
    for child, request in zip(children, requests, strict=True):
        if child is not children[1]:
            await child.answer(request, message="yes")
    await run.wait_for_end()
    listed = json.loads(await run.text())["subtasks"]
    assert [one["execution_id"] for one in listed] == [str(child.id) for child in children]
    assert [one["status"] for one in listed] == ["completed", "cancelled", "completed"]
    assert [one.get("result") for one in listed] == ["answered", None, "answered"]


async def half_done(engine: Engine) -> Run:
    """A parent of which one of two subtasks has ended; the other one asks a person."""
    asking: list[Turn] = [{"tool_use": use("ask_user", question="?")}, {"text": "late"}]
    parts = [
        {"title": "a", "prompt": script({"text": "early"})},
        {"title": "b", "prompt": script(*asking)},
    ]
    run = await engine.start(
        {"tool_use": use("delegate_many", subtasks=parts)},
        LAST_RESULT,
        allowed_tools=["delegate_many", "ask_user"],
    )
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    early, late = await run.children()
    await late.wait_for_request()
    await early.wait_for_end()
    await run.wait_for_signals_read()
    return run


async def test_a_reset_between_the_ends_of_subtasks_runs_none_again(engine: Engine) -> None:
    run = await half_done(engine)
    before = await run.children()
    await ask_to_reset(run, -1)
    await before[1].answer(await before[1].wait_for_request(), message="yes")
    await run.wait_for_end()
    listed = json.loads(await run.text())["subtasks"]
    assert [one["result"] for one in listed] == ["early", "late"]
    assert [child.id for child in await run.children()] == [child.id for child in before]


async def test_a_reset_to_before_the_call_replaces_its_subtasks(engine: Engine) -> None:
    run = await half_done(engine)
    old = await run.children()
    await reset(run, 0)
    assert (await old[1].wait_for_end()).status == ExecutionStatus.CANCELLED

    async def has_new() -> bool:
        return len(await run.children()) == 4

    await run.until(has_new)
    new = (await run.children())[2:]
    await new[1].answer(await new[1].wait_for_request(), message="yes")
    await run.wait_for_end()
    listed = json.loads(await run.text())["subtasks"]
    assert [one["execution_id"] for one in listed] == [str(child.id) for child in new]
