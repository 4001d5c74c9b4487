"""Ends of planned tasks: work that is deleted with them, and stale tasks."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from domain.ids import new_id
from persistence.executions import planned_work, signals
from tests.api.mcp.agents import call, connect, read_refusal
from tests.api.mcp.test_orchestrator import Agent, claim, complete, plan, row_of
from tests.api.world import World, execute, give_session, make_task


@pytest.fixture
def agent(world: World) -> Agent:
    return Agent(world)


async def test_a_cancel_may_delete_the_work(world: World, agent: Any) -> None:
    task = await plan(agent)
    await claim(agent, task)
    await complete(agent, task, next_action="continue")
    cancelled = await call(
        agent, "orchestrator_cancel_task", task_id=task["task_id"], preserve_work=False
    )
    assert (cancelled["work_preserved"], cancelled["artifact_count"]) == (False, 1)
    assert await count_artifacts(world, task) == 0


async def count_artifacts(world: World, task: dict[str, Any]) -> int:
    async with world.gateway.database.reading() as session:
        counted = text("SELECT count(*) FROM artifacts WHERE execution_id = :id")
        count: int = await session.scalar(counted, {"id": UUID(task["task_id"])})
    return count


async def test_a_task_that_claude_runs_is_finished_early(world: World, agent: Any) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
    finish = {"task_id": execution["id"], "message": "That is enough."}
    early = await read_refusal(agent, "orchestrator_finish_task", **finish)
    assert early["code"] == "conflict"
    await give_session(world, execution)
    assert (await call(agent, "orchestrator_finish_task", **finish))["status"] == "running"
    async with world.gateway.database.reading() as session:
        unread = await signals.list_unread(session, UUID(execution["id"]))
    assert "That is enough." in next(s.payload["content"] for s in unread if s.kind == "message")
    assert "finish" in {signal.kind for signal in unread}


async def test_a_delete_for_good_leaves_an_empty_record(world: World, agent: Any) -> None:
    secret = new_id().hex
    task = await plan(agent, f"Secret {secret}", context={"note": secret})
    await claim(agent, task)
    await complete(agent, task, summary=secret, detailed_work=secret)
    deleted = await call(
        agent, "orchestrator_delete_task", task_id=task["task_id"], archive_instead=False
    )
    assert (deleted["archived"], deleted["was_cancelled"]) == (False, False)
    assert await count_artifacts(world, task) == 0
    async with world.gateway.database.reading() as session:
        whole = text("SELECT to_json(e) FROM executions e WHERE id = :id")
        stored = await session.scalar(whole, {"id": UUID(task["task_id"])})
    assert stored["status"] == "completed"
    assert secret not in str(stored)


AGE_EXECUTION = text("""
UPDATE executions SET created_at = created_at - make_interval(hours => :hours),
    claimed_at = claimed_at - make_interval(hours => :hours),
    lease_expires_at = lease_expires_at - make_interval(hours => :kept_hours)
WHERE id = :id
""")
AGE_EVENTS = text("""
UPDATE execution_events SET at = at - make_interval(hours => :hours) WHERE execution_id = :id
""")


async def age(
    world: World, task: dict[str, Any], hours: int, kept_hours: int | None = None
) -> None:
    """Move all that happened to a task into the past; the last heartbeat less far."""
    kept_hours = hours if kept_hours is None else kept_hours
    parameters = {"id": UUID(task["task_id"]), "hours": hours}
    async with world.gateway.database.transaction() as session:
        await session.execute(AGE_EXECUTION, {**parameters, "kept_hours": kept_hours})
        await session.execute(AGE_EVENTS, parameters)


async def test_stale_tasks_are_cleaned_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # The ids, which have the time of creation, can't be moved into the past.
    monkeypatch.setattr(planned_work, "created_between", lambda *_: [])
    async with connect(world, user="stale", groups="orchestrator") as client:
        fresh, held, forgotten, lost, kept = [await plan(client, name) for name in "ABCDF"]
        waiting = await plan(client, "E", dependencies=[fresh["task_id"]])
        await claim(client, held)
        await claim(client, kept)
        await age(world, kept, 80, kept_hours=1)
        for task, hours in ((held, 30), (forgotten, 30), (lost, 80), (waiting, 80)):
            await age(world, task, hours)
        found = await call(client, "orchestrator_clean_up_tasks")
        assert [(t["task_id"], t["action"]) for t in found["stale_tasks"]] == [
            (held["task_id"], "return_to_queue"),
            (forgotten["task_id"], "none"),
            (lost["task_id"], "cancel"),
        ]
        assert (await row_of(world, held)).status == "running"
        await call(client, "orchestrator_clean_up_tasks", dry_run=False)
        row = await row_of(world, held)
        assert (row.status, row.status_reason, row.claimed_by) == ("pending", "stale", None)
        assert (await row_of(world, lost)).cancel_requested_at is not None
        assert (await row_of(world, forgotten)).cancel_requested_at is None
        again = await call(client, "orchestrator_clean_up_tasks")
        assert [t["task_id"] for t in again["stale_tasks"]] == [forgotten["task_id"]]
