"""The tools of the queue."""

from typing import Any
from uuid import UUID

from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.db import locks
from persistence.executions import lifecycle
from tests.api.mcp.agents import call, connect, read_refusal
from tests.api.world import World

GROUPS = "queue,orchestrator"


async def add(client: Any, description: str = "Find rhymes.", **fields: Any) -> dict[str, Any]:
    return await call(client, "task_enqueue", description=description, **fields)


async def test_work_is_added_read_ordered_and_cancelled(world: World) -> None:
    async with connect(world, user=f"user-{new_id()}", groups=GROUPS) as client:
        first = await add(
            client,
            source="agent_planner",
            agent_type="coder",
            summary="Rhymes",
            base_priority=8,
            estimated_duration_seconds=60,
            input_data={"words": ["moon"]},
        )
        assert (first["status"], first["dependency_depth"]) == ("pending", 0)
        assert first["calculated_priority"] == 24 + 12.5 + 2.5
        second = await add(client, prerequisites=[first["task_id"]])
        third = await add(client, prerequisites=[second["task_id"]])
        assert (third["status"], third["dependency_depth"]) == ("blocked", 2)

        found = await call(client, "task_get", task_id=first["task_id"])
        assert found["input_data"] == {"words": ["moon"]}
        assert (found["agent_type"], found["summary"]) == ("implementer", "Rhymes")
        assert (await call(client, "task_get", task_id=second["task_id"]))["prerequisites"] == [
            first["task_id"]
        ]
        listed = await call(client, "task_list", source="agent_planner", agent_type="coder")
        assert [task["task_id"] for task in listed["tasks"]] == [first["task_id"]]
        waiting = await call(client, "task_list", exclude_status="pending", limit=1)
        assert (waiting["total_count"], waiting["has_more"]) == (2, True)

        status = await call(client, "task_queue_status")
        assert (status["total_tasks"], status["max_depth"]) == (3, 2)
        assert status["counts"] == {"blocked": 2, "pending": 1}
        plan = await call(client, "task_execution_plan")
        ids = [task["task_id"] for task in (first, second, third)]
        assert plan["batches"] == [[one] for one in ids]

        ended = await call(client, "task_cancel", task_id=first["task_id"], reason="enough")
        assert ended["cascaded_task_ids"] == ids[1:]
        assert ended["total_cancelled"] == 3
        pruned = await call(client, "task_prune", status=["completed"], older_than_hours=1)
        assert (pruned["dry_run"], pruned["total_pruned"]) == (True, 0)
        nothing = await read_refusal(client, "task_prune")
        assert nothing["errors"][0]["argument"] == "older_than_hours"
        ages = await read_refusal(client, "task_prune", older_than_hours=1e6)
        assert ages["errors"][0]["argument"] == "older_than_hours"


async def test_a_failed_prerequisite_fails_new_work_at_once(world: World) -> None:
    async with connect(world, user=f"user-{new_id()}", groups=GROUPS) as client:
        first = await add(client)
        failed = ExecutionStatus.FAILED
        async with world.gateway.database.transaction() as session:
            execution_id = UUID(first["task_id"])
            await locks.lock_for_end(session, execution_id, failed)
            await lifecycle.end(session, {execution_id: "no"}, failed)
        second = await add(client, prerequisites=[first["task_id"]])
        assert second["status"] == "failed"
        found = await call(client, "task_get", task_id=second["task_id"])
        assert found["error_code"] == "prerequisite_failed"


async def test_arguments_are_named_in_refusals(world: World) -> None:
    async with connect(world, groups=GROUPS) as client:
        error = await read_refusal(client, "task_enqueue", description="x", agent_type="unknown")
        assert error["errors"][0]["argument"] == "agent_type"
        missing = await read_refusal(
            client, "task_enqueue", description="x", prerequisites=[str(new_id())]
        )
        assert missing["errors"][0]["argument"] == "prerequisites.0"
        both = {"status": "pending", "exclude_status": "pending"}
        nothing = await read_refusal(client, "task_list", **both)
        assert nothing["errors"][0]["argument"] == "exclude_status"
        unknown = await read_refusal(client, "task_get", task_id=str(new_id()))
        assert unknown["code"] == "not_found"
