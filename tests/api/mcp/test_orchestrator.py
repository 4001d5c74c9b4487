"""The tools of an orchestrator: each changes and reads what is in the database."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow
from tests.api.mcp.agents import call, connect, read_refusal
from tests.api.world import World, make_task

GROUPS = "orchestrator,tasks"


class Agent:
    """A client that connects for each call: a fixture is closed in another task than it is opened.

    The server keeps nothing between the calls of one.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    async def call_tool(self, tool: str, arguments: dict[str, Any]) -> Any:
        async with connect(self.world, groups=GROUPS) as client:
            return await client.call_tool(tool, arguments)


@pytest.fixture
def agent(world: World) -> Agent:
    return Agent(world)


async def row_of(world: World, task: dict[str, Any]) -> ExecutionRow:
    async with world.gateway.database.reading() as session:
        return await session.get_one(ExecutionRow, UUID(task["task_id"]))


async def plan(agent: Any, title: str = "Write", **fields: Any) -> dict[str, Any]:
    given = {"title": title, "description": f"{title} it well.", **fields}
    return await call(agent, "orchestrator_plan_task", **given)


async def claim(agent: Any, task: dict[str, Any]) -> dict[str, Any]:
    return await call(agent, "orchestrator_execute_task", task_id=task["task_id"])


async def complete(agent: Any, task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given = {
        "summary": "done",
        "detailed_work": "All of it.",
        "next_action": "complete",
        **fields,
    }
    return await call(agent, "orchestrator_complete_task", task_id=task["task_id"], **given)


async def test_a_task_is_planned_executed_and_completed(world: World, agent: Any) -> None:
    task = await plan(
        agent,
        specialist_type="coder",
        complexity="complex",
        estimated_effort="2 hours",
        due_date="2027-01-01",
        context={"repository": "blue"},
    )
    assert (task["success"], task["status"], task["specialist_type"]) == (True, "pending", "coder")
    row = await row_of(world, task)
    assert (row.executor, row.agent_id, row.trigger_type) == ("external", "implementer", "mcp")
    assert row.trigger_metadata == {
        "specialist_type": "coder",
        "complexity": "complex",
        "estimated_effort": "2 hours",
        "due_date": "2027-01-01",
        "context": {"repository": "blue"},
    }
    async with world.gateway.database.reading() as session:
        children = "SELECT count(*) FROM executions WHERE parent_execution_id = :id"
        assert await session.scalar(text(children), {"id": row.id}) == 0

    ready = await claim(agent, task)
    assert (ready["status"], ready["task_title"]) == ("ready_for_execution", "Write")
    assert ready["execution_instructions"]
    assert "Implementer" in ready["specialist_context"]
    row = await row_of(world, task)
    assert (row.status, str(row.lease_token)) == ("running", ready["lease_token"])
    again = await claim(agent, task)
    assert again["lease_token"] == ready["lease_token"]

    done = await complete(agent, task, file_paths=["a.py"], artifact_type="code")
    [artifact] = done["artifact_references"]
    assert (done["status"], artifact["type"], artifact["size"]) == ("completed", "code", 10)
    row = await row_of(world, task)
    assert (row.status, row.summary, row.completed_at is not None) == ("completed", "done", True)
    async with world.gateway.database.reading() as session:
        stored = await session.get_one(ArtifactRow, UUID(artifact["id"]))
    assert stored.execution_id == row.id
    late = await read_refusal(agent, "orchestrator_execute_task", task_id=task["task_id"])
    assert late["code"] == "not_claimable"


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("complete", "completed"),
        ("continue", "running"),
        ("needs_revision", "pending"),
        ("blocked", "blocked"),
    ],
)
async def test_the_next_action_changes_the_state_and_keeps_the_work(
    world: World, agent: Any, action: str, status: str
) -> None:
    task = await plan(agent)
    await claim(agent, task)
    done = await complete(agent, task, next_action=action)
    assert (done["status"], len(done["artifact_references"])) == (status, 1)
    row = await row_of(world, task)
    assert row.status == status
    if action == "blocked":
        assert row.status_reason == "worker_blocked"
        await call(agent, "orchestrator_update_task", task_id=task["task_id"], status="pending")
        assert (await row_of(world, task)).status == "pending"


async def test_dependencies_open_the_tasks_that_wait_for_them(world: World, agent: Any) -> None:
    subtasks = [
        {"title": "Test", "description": "Test it.", "dependencies": ["Build", "docs"]},
        {"title": "Build", "description": "Build it.", "specialist_type": "implementer"},
        {"title": "Document", "description": "Document it.", "key": "docs"},
    ]
    parent = await plan(agent, "Ship", subtasks=subtasks)
    by_title = {child["title"]: child for child in parent["subtasks"]}
    build, docs, test = by_title["Build"], by_title["Document"], by_title["Test"]
    assert parent["execution_order"] == [[build["task_id"], docs["task_id"]], [test["task_id"]]]
    assert parent["max_parallelism"] == 2
    row = await row_of(world, test)
    assert (row.status, row.status_reason) == ("blocked", "prerequisites")
    assert str(row.parent_execution_id) == parent["task_id"]

    early = await read_refusal(agent, "orchestrator_execute_task", task_id=test["task_id"])
    assert early["code"] == "not_claimable"
    assert build["task_id"] in early["message"]
    await claim(agent, build)
    done = await complete(agent, build, detailed_work="The build.")
    assert done["parent_progress"] == {"completed": 1, "total": 3, "percent": 33}
    assert done["next_recommended_task"]["task_id"] == docs["task_id"]
    await claim(agent, docs)
    await complete(agent, docs)
    assert (await row_of(world, test)).status == "pending"
    ready = await claim(agent, test)
    assert ready["dependencies_completed"] == [build["task_id"], docs["task_id"]]
    assert "The build." in ready["specialist_context"]
    assert len(ready["dependency_artifacts"]) == 2

    found = await call(agent, "orchestrator_synthesize_results", parent_task_id=parent["task_id"])
    assert (found["metrics"]["completed"], found["metrics"]["open"]) == (2, 1)
    assert found["outcomes"][0]["result"] == "The build."
    assert len(found["artifacts"]) == 2
    assert len(found["timeline"]) == 5


async def test_plans_that_cannot_be_done_are_refused(agent: Any) -> None:
    one = {"title": "A", "description": "a", "dependencies": ["B"]}
    two = {"title": "B", "description": "b", "dependencies": ["A"]}
    cycle = await read_refusal(
        agent, "orchestrator_plan_task", description="x", subtasks=[one, two]
    )
    assert (cycle["code"], cycle["errors"][0]["argument"]) == ("invalid_input", "subtasks")
    unknown = await read_refusal(agent, "orchestrator_plan_task", description="x", subtasks=[one])
    assert "'B'" in unknown["errors"][0]["message"]
    unknown = await read_refusal(
        agent, "orchestrator_plan_task", title="t", description="x", specialist_type="wizard"
    )
    assert unknown["errors"][0]["argument"] == "agent_id"
    await read_refusal(agent, "orchestrator_plan_task", description="x")
    missing = await read_refusal(
        agent, "orchestrator_plan_task", title="t", description="x", dependencies=[str(new_id())]
    )
    assert missing["code"] == "invalid_input"


async def test_the_old_json_text_of_subtasks_is_understood(agent: Any) -> None:
    text_of_parts = '[{"title": "A", "description": "a"}]'
    parent = await call(
        agent, "orchestrator_plan_task", description="Do A.", subtasks_json=text_of_parts
    )
    assert (parent["title"], len(parent["subtasks"])) == ("Do A.", 1)
    await read_refusal(agent, "orchestrator_plan_task", description="x", subtasks_json="{")


async def test_a_generic_task_has_a_context(agent: Any) -> None:
    task = await plan(agent)
    assert task["specialist_type"] == "generic"
    ready = await claim(agent, task)
    assert ready["specialist_context"].startswith("## Role")
    assert ready["specialist_prompts"]


async def test_a_task_is_changed_and_found(world: World, agent: Any) -> None:
    mark = new_id().hex
    task = await plan(agent, f"Find {mark}")
    changed = await call(
        agent,
        "orchestrator_update_task",
        task_id=task["task_id"],
        description="Another way, 100%.",
        specialist_type="tester",
        complexity="simple",
    )
    assert changed["changes_applied"] == ["complexity", "description", "specialist_type"]
    row = await row_of(world, task)
    assert (row.agent_id, row.rendered_prompt) == ("tester", "Another way, 100%.")
    assert row.trigger_metadata["complexity"] == "simple"
    direct = await read_refusal(
        agent, "orchestrator_update_task", task_id=task["task_id"], status="completed"
    )
    assert direct["errors"][0]["argument"] == "status"
    query = {"search_text": mark, "status": ["pending"], "complexity": ["simple"]}
    found = await call(agent, "orchestrator_query_tasks", **query, specialist_type=["tester"])
    assert [t["task_id"] for t in found["tasks"]] == [task["task_id"]]
    assert (found["total_count"], found["has_more"]) == (1, False)
    assert found["filters_applied"] == ["complexity", "search_text", "specialist_type", "status"]
    literal = await call(agent, "orchestrator_query_tasks", search_text=f"{mark[:8]}%")
    assert literal["tasks"] == []
    assert (await claim(agent, task))["task_description"] == "Another way, 100%."
    held = await read_refusal(
        agent, "orchestrator_update_task", task_id=task["task_id"], description="Too late."
    )
    assert held["code"] == "conflict"


async def test_a_cancel_keeps_the_work(world: World, agent: Any) -> None:
    task = await plan(agent)
    await claim(agent, task)
    await complete(agent, task, next_action="continue")
    cancelled = await call(
        agent, "orchestrator_cancel_task", task_id=task["task_id"], reason="enough"
    )
    assert (cancelled["previous_status"], cancelled["artifact_count"]) == ("running", 1)
    row = await row_of(world, task)
    assert (row.cancel_requested_at is not None, row.cancel_reason) == (True, "enough")
    late = await read_refusal(
        agent,
        "orchestrator_complete_task",
        task_id=task["task_id"],
        summary="late",
        detailed_work="Late work.",
        next_action="complete",
    )
    assert late["code"] == "lease_lost"
    async with world.gateway.database.reading() as session:
        kept = "SELECT count(*) FROM artifacts WHERE execution_id = :id"
        assert await session.scalar(text(kept), {"id": row.id}) == 2


async def test_a_delete_names_what_depends_on_the_task(world: World, agent: Any) -> None:
    first = await plan(agent, "First")
    second = await plan(agent, "Second", dependencies=[first["task_id"]])
    kept = await read_refusal(agent, "orchestrator_delete_task", task_id=first["task_id"])
    assert second["task_id"] in kept["message"]
    deleted = await call(agent, "orchestrator_delete_task", task_id=first["task_id"], force=True)
    assert deleted["dependent_task_ids"] == [second["task_id"]]
    assert (await row_of(world, first)).cancel_requested_at is not None
    found = await call(agent, "orchestrator_query_tasks", search_text="First")
    assert first["task_id"] not in {task["task_id"] for task in found["tasks"]}


async def test_the_state_counts_what_there_is(world: World) -> None:
    async with connect(world, user="counting", groups="orchestrator") as client:
        empty = await call(client, "orchestrator_get_status")
        assert (empty["total"], empty["next_recommended_task"]) == (0, None)
        task = await plan(client)
        await plan(client, "Later", dependencies=[task["task_id"]])
        found = await call(client, "orchestrator_get_status")
    assert found["counts"] == {"pending": 1, "blocked": 1}
    assert len(found["active_tasks"]) == 2
    assert found["next_recommended_task"]["task_id"] == task["task_id"]


async def test_calls_of_each_tool_are_measured(world: World, agent: Any, client: Any) -> None:
    await plan(agent)
    await read_refusal(agent, "orchestrator_execute_task", task_id=str(new_id()))
    page = (await client.get(f"{world.url}/metrics")).text
    for tool, outcome in (("plan", "ok"), ("execute", "error")):
        labels = f'outcome="{outcome}",tool="orchestrator_{tool}_task"'
        assert f"perdure_mcp_tool_seconds_count{{{labels}}}" in page


async def test_another_users_task_does_not_exist(world: World, agent: Any) -> None:
    task = await plan(agent)
    async with connect(world, user="bob", groups=GROUPS) as bob:
        for tool in ("execute", "cancel", "delete", "update"):
            name = f"orchestrator_{tool}_task"
            found = await read_refusal(bob, name, task_id=task["task_id"])
            assert found["code"] == "not_found", tool
        assert (await call(bob, "orchestrator_query_tasks"))["tasks"] == []
        dependent = await read_refusal(
            bob,
            "orchestrator_plan_task",
            title="t",
            description="d",
            dependencies=[task["task_id"]],
        )
        assert dependent["code"] == "invalid_input"
    unknown = await read_refusal(agent, "orchestrator_execute_task", task_id=str(new_id()))
    assert unknown["code"] == "not_found"
    malformed = await read_refusal(agent, "orchestrator_execute_task", task_id="7")
    assert malformed["code"] == "invalid_input"
    alien = await read_refusal(
        agent, "orchestrator_execute_task", task_id=task["task_id"], user_id="bob"
    )
    assert alien["code"] == "permission_denied"
    ready = await call(agent, "orchestrator_execute_task", task_id=task["task_id"], user_id="alice")
    assert ready["status"] == "ready_for_execution"


async def test_another_workers_claim_is_not_reported(agent: Any, client: Any) -> None:
    task = await plan(agent)
    body = {"execution_id": task["task_id"], "worker": "desk 2"}
    assert (await client.post("/api/v1/queue/claim", json=body)).status_code == 200
    for tool, more in (
        ("orchestrator_execute_task", {}),
        (
            "orchestrator_complete_task",
            {"summary": "s", "detailed_work": "d", "next_action": "complete"},
        ),
    ):
        found = await read_refusal(agent, tool, task_id=task["task_id"], **more)
        assert found["code"] == "not_claimable"
        assert "desk 2" in found["message"]


async def test_to_dos_are_changed_and_deleted(world: World, agent: Any, client: Any) -> None:
    made = await call(
        agent, "create_task", title=f"to do {new_id()}", description="Water the plants."
    )
    task_id = made["task_id"]
    changed = await call(agent, "update_task", task_id=task_id, prompt="Water them twice.")
    assert (changed["name"], changed["prompt_template"]) == (made["name"], "Water them twice.")
    stored = (await client.get(f"/api/v1/tasks/{task_id}")).json()
    assert (stored["prompt_template"], stored["version"]) == ("Water them twice.", 2)
    for _ in range(2):
        assert (await call(agent, "delete_task", task_id=task_id))["is_deleted"]
    assert (await client.get(f"/api/v1/tasks/{task_id}")).status_code == 404
    gone = await read_refusal(agent, "update_task", task_id=task_id, description="x")
    assert gone["code"] == "not_found"
    theirs = await make_task(client)
    async with connect(world, user="bob", groups="tasks") as bob:
        for tool in ("update_task", "delete_task"):
            assert (await read_refusal(bob, tool, task_id=theirs["id"]))["code"] == "not_found"
            assert (await read_refusal(bob, tool, task_id=task_id))["code"] == "not_found"
    owner = await read_refusal(agent, "update_task", task_id=theirs["id"], user_id="bob")
    assert owner["code"] == "permission_denied"


async def test_groups_decide_which_tools_are_offered(world: World) -> None:
    async with connect(world, groups="orchestrator") as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert [name for name in names if name.startswith("orchestrator_")] == [
        "orchestrator_plan_task",
        "orchestrator_execute_task",
        "orchestrator_complete_task",
        "orchestrator_update_task",
        "orchestrator_cancel_task",
        "orchestrator_finish_task",
        "orchestrator_delete_task",
        "orchestrator_clean_up_tasks",
        "orchestrator_query_tasks",
        "orchestrator_get_status",
        "orchestrator_synthesize_results",
    ]
    assert "update_task" not in names
