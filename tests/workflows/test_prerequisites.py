"""Executions that wait for others: started when those are completed, failed when one is not."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain.executions.states import ExecutionStatus
from persistence.executions import prerequisites
from persistence.tables.executions import ExecutionRow
from tests.engine.driver import Engine, Run, script, use
from tests.workflows.system import System

BLOCKED = ExecutionStatus.BLOCKED
ASK = {"tool_use": use("ask_user", question="?")}
TASK: dict[str, Any] = {"prompt": script({"text": "done"}), "title": "after"}


async def start_after(system: System, *runs: Run, **body: Any) -> Run:
    """An execution that waits for others."""
    ids = [str(run.id) for run in runs]
    response = await system.client.post(
        "/api/v1/task-executions", json={**TASK, "prerequisites": ids, **body}
    )
    assert response.status_code == 202, response.text
    return system.engine.run(UUID(response.json()["id"]))


async def asking(engine: Engine) -> Run:
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    await run.wait_for_request()
    return run


async def answer(run: Run) -> None:
    await run.answer(await run.wait_for_request(), message="yes")


async def test_it_starts_after_all_prerequisites_complete(system: System) -> None:
    first, second = await asking(system.engine), await asking(system.engine)
    run = await start_after(system, first, second)
    row = await run.row()
    assert (row.status, row.status_reason) == (BLOCKED, "prerequisites")
    response = await system.client.get(f"/api/v1/task-executions/{run.id}/prerequisites")
    assert {item["id"] for item in response.json()["items"]} == {str(first.id), str(second.id)}
    await answer(first)
    await first.wait_for_end()
    assert (await run.row()).status == BLOCKED
    await answer(second)
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert (await run.event_types())[:3] == [
        "execution.created",
        "execution.status_changed",
        "execution.started",
    ]


async def test_completed_prerequisites_do_not_block(system: System) -> None:
    run = await start_after(system, await system.engine.run_to_completion({"text": "x"}))
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_two_that_end_at_once_start_it_once(system: System) -> None:
    for _ in range(5):
        pair = await asyncio.gather(asking(system.engine), asking(system.engine))
        run = await start_after(system, *pair)
        await asyncio.gather(*map(answer, pair))
        assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
        assert (await run.event_types()).count("execution.started") == 1


async def test_a_prerequisite_that_ends_during_the_request(system: System) -> None:
    for _ in range(5):
        first = await asking(system.engine)
        _, run = await asyncio.gather(answer(first), start_after(system, first))
        assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_failed_prerequisite_fails_all_dependents(system: System, how: str) -> None:
    gate = system.engine.gate()
    first = await system.engine.start({"text": "no", "stop_reason": "refusal", "gate": gate.name})
    second = await start_after(system, first)
    third = await start_after(system, second)
    if how == "cancelled":
        await first.cancel()
    else:
        gate.open()
    for run, other in ((second, first), (third, second)):
        row = await run.wait_for_end()
        assert (row.status, row.error_code) == (ExecutionStatus.FAILED, "prerequisite_failed")
        assert str(other.id) in (row.error_message or "")


async def test_cancelling_one_that_waits_fails_what_waits_for_it(system: System) -> None:
    first = await asking(system.engine)
    second = await start_after(system, first)
    third = await start_after(system, second)
    await second.cancel()
    assert (await second.wait_for_end()).status == ExecutionStatus.CANCELLED
    assert (await third.wait_for_end()).error_code == "prerequisite_failed"
    await answer(first)
    await first.wait_for_end()


async def test_it_waits_for_its_session(system: System) -> None:
    first, busy = await asking(system.engine), await asking(system.engine)
    session_id = str((await busy.row()).session_id)
    run = await start_after(system, first, session_id=session_id)
    await answer(first)
    await run.wait_until(lambda row: row.status_reason == "session_busy")
    await answer(busy)
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_a_blocked_execution_does_not_block_its_session(system: System) -> None:
    first = await asking(system.engine)
    done = await system.engine.run_to_completion({"text": "x"})
    session_id = str((await done.row()).session_id)
    waiting = await start_after(system, first, session_id=session_id)
    run = await start_after(system, session_id=session_id)
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    await answer(first)
    assert (await waiting.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_messages_in_the_session_of_a_blocked_execution_are_answered(system: System) -> None:
    """Messages in its session are not kept until it starts."""
    first = await asking(system.engine)
    done = await system.engine.run_to_completion({"text": "x"})
    session_id = str((await done.row()).session_id)
    waiting = await start_after(system, first, session_id=session_id)
    response = await system.client.post(
        f"/api/v1/sessions/{session_id}/messages", json={"content": script({"text": "hello"})}
    )
    assert response.status_code == 202, response.text
    answered = system.engine.run(UUID(response.json()["id"]))
    assert answered.id != waiting.id
    assert (await answered.wait_for_end()).status == ExecutionStatus.COMPLETED
    await answer(first)
    assert (await waiting.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_a_paused_one_starts_paused(system: System) -> None:
    first = await asking(system.engine)
    run = await start_after(system, first)
    await run.pause()
    await answer(first)
    await run.wait_for_pause()
    await run.resume()
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_impossible_prerequisites_are_refused(system: System, other: System) -> None:
    failed = await system.engine.run_to_failure(
        {"text": "no", "stop_reason": "refusal"}, code="model_refused"
    )
    theirs = await start_after(other)
    for ids in ([str(failed.id)], [str(theirs.id)], ["01a1fce3-f0de-7786-b104-ccf4161b9312"]):
        body = {**TASK, "prerequisites": ids}
        response = await system.client.post("/api/v1/task-executions", json=body)
        assert response.status_code == 422
        assert response.json()["errors"][0]["loc"] == ["body", "prerequisites", 0]


async def test_other_executions_have_no_extra_cost(system: System) -> None:
    """An end without dependents runs one query and locks no rows."""
    done = await system.engine.run_to_completion({"text": "x"})
    async with system.engine.database.transaction() as session:
        await prerequisites.release(session, done.id, ())
        assert not [o for o in session.identity_map.values() if isinstance(o, ExecutionRow)]
