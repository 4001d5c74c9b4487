"""A plan that an agent works on over MCP alone: what each call changes in the database."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from persistence.tables.executions import ExecutionRow
from persistence.tables.plans import PlanRow, PlanStepRow
from tests.api.mcp.agents import call, connect
from tests.api.world import World
from tests.engine.driver import Engine
from tests.workflows.system import System

SUBTASKS = [
    {"key": "collect", "title": "Collect", "description": "Collect the reports of all branches."},
    {"key": "prices", "title": "Prices", "description": "Read the price lists."},
    {
        "key": "analyse",
        "title": "Analyse",
        "description": "Compare them: {{ steps.collect.result }}",
        "specialist_type": "analyst",
        "complexity": "complex",
        "dependencies": ["collect", "Prices"],
    },
    {
        "key": "write",
        "title": "Write",
        "description": "Write a page.",
        "specialist_type": "documenter",
        "dependencies": ["analyse"],
    },
]


async def states_of(engine: Engine, plan: Mapping[str, Any]) -> dict[str, str]:
    """The status of each part in the database."""
    async with engine.database.reading() as session:
        rows = {
            part["title"]: await session.get_one(ExecutionRow, UUID(part["task_id"]))
            for part in plan["subtasks"]
        }
    return {title: row.status for title, row in rows.items()}


async def claim(client: Any, task_id: str) -> dict[str, Any]:
    return await call(client, "orchestrator_execute_task", task_id=task_id)


async def report(client: Any, task_id: str, action: str, work: str) -> dict[str, Any]:
    return await call(
        client,
        "orchestrator_complete_task",
        task_id=task_id,
        summary=f"{action}: {work}"[:200],
        detailed_work=work,
        next_action=action,
    )


async def start(client: Any) -> dict[str, Any]:
    description = "Know why the volumes fell."
    return await call(client, "orchestrator_plan_task", description=description, subtasks=SUBTASKS)


def ids_of(plan: Mapping[str, Any]) -> dict[str, str]:
    return {part["title"]: part["task_id"] for part in plan["subtasks"]}


async def check_stored(engine: Engine, plan: Mapping[str, Any]) -> UUID:
    """The plan in the database is the one that was planned; its id."""
    ids = ids_of(plan)
    batches = [["Collect", "Prices"], ["Analyse"], ["Write"]]
    assert plan["execution_order"] == [[ids[title] for title in batch] for batch in batches]
    row = await engine.run(UUID(plan["task_id"])).row()
    async with engine.database.reading() as session:
        stored = await session.get_one(PlanRow, UUID(row.trigger_metadata["plan_id"]))
        step = await session.get_one(PlanStepRow, (stored.id, "analyse"))
    assert (row.executor, stored.execution_id) == ("plan", row.id)
    assert (step.agent_id, step.depends_on) == ("researcher", ["collect", "prices"])
    assert str(step.execution_id) == ids["Analyse"]
    return stored.id


async def do_first_batch(engine: Engine, client: Any, plan: Mapping[str, Any]) -> None:
    """Continue the first part, revise the second."""
    ids = ids_of(plan)
    await claim(client, ids["Collect"])
    assert (await states_of(engine, plan))["Collect"] == "running"
    kept = await report(client, ids["Collect"], "continue", "Half of the reports.")
    assert (kept["status"], len(kept["artifact_references"])) == ("running", 1)
    done = await report(client, ids["Collect"], "complete", "Twelve reports.")
    assert done["parent_progress"] == {"completed": 1, "total": 4, "percent": 25}
    assert done["next_recommended_task"]["task_id"] == ids["Prices"]
    states = {"Collect": "completed", "Prices": "pending", "Analyse": "blocked", "Write": "blocked"}
    assert await states_of(engine, plan) == states
    await claim(client, ids["Prices"])
    revised = await report(client, ids["Prices"], "needs_revision", "Two lists are missing.")
    assert revised["status"] == "pending"
    ready = await claim(client, ids["Prices"])
    assert "Two lists are missing." in ready["specialist_context"]
    await report(client, ids["Prices"], "complete", "Prices rose by 4 %.")
    assert (await states_of(engine, plan))["Analyse"] == "pending"


async def do_other_batches(engine: Engine, client: Any, plan: Mapping[str, Any]) -> None:
    """Block the third part until a person has acted, then complete all."""
    ids = ids_of(plan)
    ready = await claim(client, ids["Analyse"])
    assert ready["task_description"] == "Compare them: Twelve reports."
    assert ready["dependencies_completed"] == [ids["Collect"], ids["Prices"]]
    assert "Prices rose by 4 %." in ready["specialist_context"]
    blocked = await report(client, ids["Analyse"], "blocked", "Ask the accountants.")
    assert (blocked["status"], blocked["status_reason"]) == ("blocked", "worker_blocked")
    await call(client, "orchestrator_update_task", task_id=ids["Analyse"], status="pending")
    await claim(client, ids["Analyse"])
    await report(client, ids["Analyse"], "complete", "The prices explain it.")
    await claim(client, ids["Write"])
    await report(client, ids["Write"], "complete", "# Volumes")
    assert set((await states_of(engine, plan)).values()) == {"completed"}


async def test_a_plan_is_done_over_mcp(system: System, gateway_world: World) -> None:
    engine = system.engine
    async with connect(gateway_world, groups="orchestrator") as client:
        plan = await start(client)
        plan_id = await check_stored(engine, plan)
        await do_first_batch(engine, client, plan)
        await do_other_batches(engine, client, plan)
        ended = await engine.run(UUID(plan["task_id"])).wait_for_end()
        assert (ended.status, (ended.result_data or {})["text"]) == ("completed", "# Volumes")
        tool = "orchestrator_synthesize_results"
        found = await call(client, tool, parent_task_id=plan["task_id"])
    assert found["metrics"]["completed"] == 4
    assert len(found["artifacts"]) == 7
    page = await system.client.get(f"/api/v1/plans/{plan_id}/report?format=markdown")
    assert "4 steps in 3 batches: 4 completed." in page.text
