"""External executions as workflows: they wait for the end that a worker's request writes."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus

from api.main import create_app
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.executions import signals
from tests.api.conftest import serve_app
from tests.api.world import World
from tests.engine.driver import Run, use
from tests.waiting import eventually
from tests.workflows.system import System
from tests.workflows.test_resets import ask_to_reset

QUEUE = "/api/v1/queue"


async def start(system: System, **body: Any) -> Run:
    given = {"prompt": "Write a poem.", "executor": "external", **body}
    response = await system.client.post("/api/v1/task-executions", json=given)
    assert response.status_code == 202, response.text
    return system.engine.run(UUID(response.json()["id"]))


async def claim(system: System, run: Run, **body: Any) -> str:
    given = {"execution_id": str(run.id), "lease_seconds": 600, **body}
    response = await system.client.post(f"{QUEUE}/claim", json=given)
    assert response.status_code == 200, response.text
    token: str = response.json()["lease_token"]
    return token


async def complete(system: System, run: Run, token: str, **body: Any) -> dict[str, Any]:
    given = {"lease_token": token, "summary": "done", **body}
    response = await system.client.post(f"{QUEUE}/{run.id}/complete", json=given)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def wait_for_close(run: Run) -> WorkflowExecutionStatus | None:
    """Wait until the workflow is closed, and knows of the end."""

    async def is_closed() -> bool:
        async with run.engine.database.reading() as session:
            return not await signals.list_unread(session, run.id) and (
                (await run.handle.describe()).close_time is not None
            )

    await eventually(is_closed, what="the end of the workflow")
    return (await run.handle.describe()).status


async def wait_for_session(run: Run) -> None:
    async def has_session() -> bool:
        return (await run.row()).session_id is not None

    await eventually(has_session, what="the session")


async def test_the_workflow_waits_and_ends_with_the_work(system: System) -> None:
    run = await start(system)
    await wait_for_session(run)
    assert (await run.row()).status == ExecutionStatus.PENDING
    done = await complete(system, run, await claim(system, run))
    assert done["status"] == "completed"
    assert await wait_for_close(run) is WorkflowExecutionStatus.COMPLETED
    description = await run.handle.describe()
    attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert attributes["PerdureStatus"] == "completed"
    history = await run.handle.fetch_history()
    assert len(history.events) <= 15
    assert (await run.event_types())[-1] == "execution.completed"


async def test_work_can_end_before_its_workflow_starts(system: System) -> None:
    run = await start(system, prerequisites=[])
    await complete(system, run, await claim(system, run))
    await wait_for_close(run)


async def test_a_failure_fails_the_workflow(system: System) -> None:
    run = await start(system)
    token = await claim(system, run)
    body = {"lease_token": token, "message": "no ink"}
    await system.client.post(f"{QUEUE}/{run.id}/fail", json=body)
    assert await wait_for_close(run) is WorkflowExecutionStatus.FAILED


async def test_a_cancel_ends_waiting_and_claimed_work(system: System) -> None:
    for is_claimed in (False, True):
        run = await start(system)
        await wait_for_session(run)
        if is_claimed:
            await claim(system, run)
        await run.cancel("enough")
        row = await run.wait_for_end()
        assert (row.status, row.cancel_reason) == (ExecutionStatus.CANCELLED, "enough")
        await wait_for_close(run)


async def test_blocked_work_is_cancelled_by_its_workflow(system: System) -> None:
    run = await start(system)
    await wait_for_session(run)
    session_id = (await run.row()).session_id
    second = await start(system, session_id=str(session_id))
    await complete(system, run, await claim(system, run), next_action="blocked")
    assert (await second.row()).status == ExecutionStatus.BLOCKED
    await run.cancel()
    assert (await run.wait_for_end()).status == ExecutionStatus.CANCELLED
    await second.wait_for_status(ExecutionStatus.PENDING)


async def test_the_deadline_ends_work_that_no_worker_has_done(system: System) -> None:
    run = await start(system)
    await wait_for_session(run)
    async with system.engine.database.transaction() as session:
        soon = "UPDATE executions SET deadline_at = now() + interval '1 second' WHERE id = :id"
        await session.execute(text(soon), {"id": run.id})
    await run.wake()
    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, "deadline_passed")


async def test_a_workflow_that_the_gateway_cannot_wake_is_closed_by_the_relay(
    system: System, gateway_world: World
) -> None:
    run = await start(system)
    await wait_for_session(run)
    cut_off = gateway_world.gateway.settings.model_copy(update={"temporal_address": "127.0.0.1:1"})
    app = create_app(cut_off)
    async with serve_app(app) as url, World(url, app.state.gateway).client("alice") as client:
        await complete(System(system.engine, client), run, await claim(system, run))
        assert await wait_for_close(run) is WorkflowExecutionStatus.COMPLETED


async def test_claude_delegates_to_an_external_agent(system: System) -> None:
    slug = f"poet-{new_id().hex}"
    agent = {
        "agent_id": slug,
        "name": "Poet",
        "description": "Writes poems.",
        "system_prompt": "You rhyme.",
        "executor": "external",
    }
    assert (await system.client.post("/api/v1/agents", json=agent)).status_code == 201
    delegating = use("delegate", title="a poem", prompt="Write {{ it }}.", agent_id=slug)
    run = await system.engine.start(
        {"tool_use": delegating},
        {"text": "{last_tool_result}"},
        allowed_tools=["delegate"],
    )
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    [child] = await run.children()
    row = await child.row()
    assert (row.executor, row.status) == ("external", ExecutionStatus.PENDING)
    await complete(system, child, await claim(system, child), detailed_work="Roses")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    poem, file, *_ = (await run.text()).splitlines()
    assert poem == "Roses"
    assert file.startswith("[artifact detailed_work.md: ")


async def test_a_cancelled_parent_stops_its_external_subtask(system: System) -> None:
    slug = f"poet-{new_id().hex}"
    agent = {"agent_id": slug, "name": "P", "description": "d", "system_prompt": "s"}
    await system.client.post("/api/v1/agents", json={**agent, "executor": "external"})
    delegating = use("delegate", title="a poem", prompt="Write.", agent_id=slug)
    run = await system.engine.start({"tool_use": delegating}, allowed_tools=["delegate"])
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    [child] = await run.children()
    await wait_for_session(child)
    await run.cancel()
    assert (await child.wait_for_end()).status == ExecutionStatus.CANCELLED
    await wait_for_close(child)


async def test_a_lease_that_ran_out_is_returned_by_the_sweep(system: System) -> None:
    run = await start(system)
    token = await claim(system, run, lease_seconds=1)
    row = await run.wait_for_status(ExecutionStatus.PENDING)
    assert row.status_reason == "lease_expired"
    body = {"lease_token": token, "detailed_work": "late"}
    late = await system.client.post(f"{QUEUE}/{run.id}/complete", json=body)
    assert late.status_code == 409
    await complete(system, run, await claim(system, run))


async def test_a_reset_returns_the_work_to_the_queue(system: System) -> None:
    run = await start(system)
    await complete(system, run, await claim(system, run))
    await wait_for_close(run)
    await ask_to_reset(run, 0)
    await run.wait_for_status(ExecutionStatus.PENDING)
    await complete(system, run, await claim(system, run), summary="again")
    assert (await run.row()).summary == "again"
    await wait_for_close(run)


async def test_dependents_start_when_the_work_is_completed(system: System) -> None:
    first = await start(system)
    second = await start(system, prerequisites=[str(first.id)])
    token = await claim(system, first)
    await asyncio.gather(complete(system, first, token), wait_for_session(second))
    await complete(system, second, await claim(system, second))
    await wait_for_close(second)
