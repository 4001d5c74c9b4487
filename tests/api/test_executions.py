import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select
from temporalio.client import Client as TemporalClient

from contracts import names
from domain.executions.dispatch import INLINE_TITLE
from domain.ids import new_id
from persistence.tables.executions import ExecutionRow, SignalRow
from persistence.tables.ledger import AuditRow
from tests.api.world import World, execute, give_session, make_task

Client = httpx2.AsyncClient


async def signals(world: World, execution: dict[str, Any]) -> list[str]:
    """The kinds of the signals to an execution, in order."""
    async with world.gateway.database.reading() as session:
        rows = await session.scalars(
            select(SignalRow)
            .where(SignalRow.execution_id == UUID(execution["id"]))
            .order_by(SignalRow.id)
        )
        return [row.kind for row in rows]


async def test_execute_stores_everything_and_starts_the_workflow(
    world: World, client: Client, temporal_client: TemporalClient
) -> None:
    task = await make_task(client, tags=["daily"])
    execution = await execute(
        client, task, variables={"name": "Ada"}, priority=9, trigger_metadata={"from": "test"}
    )
    assert execution["status"] == "pending"
    assert execution["task_id"] == task["id"]
    assert execution["task_version"] == 1
    assert execution["prompt_variables"] == {"name": "Ada"}
    assert execution["missing_variables"] == []
    assert execution["budget_usd"] == 0.25
    assert execution["cost_usd"] == 0
    assert execution["trigger_type"] == "manual"
    assert execution["workflow_id"] == f"execution-{execution['id']}"
    assert "session" not in execution["_links"]
    assert "temporal" not in execution["_links"]
    assert await signals(world, execution) == ["start"]
    events = (await client.get(execution["_links"]["events"])).json()["items"]
    assert [(e["seq"], e["type"]) for e in events] == [(1, "execution.created")]

    described = await temporal_client.get_workflow_handle(execution["workflow_id"]).describe()
    attributes = {p.key.name: p.value for p in described.typed_search_attributes}
    assert described.workflow_type == names.TASK_EXECUTION
    assert described.task_queue == names.EXECUTIONS_QUEUE
    assert attributes[names.TASK_ID] == task["id"]
    assert attributes[names.TAGS] == ["daily"]
    assert attributes[names.STATUS] == "pending"
    assert await described.static_summary() == f"{task['name']} (manual)"


async def test_temporal_shows_no_content(
    client: Client, world: World, temporal_client: TemporalClient
) -> None:
    """The title of work without a task is the first line of its prompt or message."""
    started = await client.post("/api/v1/task-executions", json={"prompt": "A canary sings."})
    assert started.json()["title"] == "A canary sings."
    task_run = await execute(client, await make_task(client))
    await give_session(world, task_run, "completed")
    path = task_run["_links"]["self"] + "/messages"
    message = await client.post(path, json={"content": "A canary again."})
    for body in (started.json(), message.json()):
        described = await temporal_client.get_workflow_handle(body["workflow_id"]).describe()
        assert "canary" not in str(described.raw_description)
        assert (await described.static_summary() or "").startswith(INLINE_TITLE)


async def test_reads_agree(client: Client, admin: Client, other: Client) -> None:
    execution = await execute(client, await make_task(client))
    path = execution["_links"]["self"]
    assert (await client.get(path)).json() == execution
    assert (await admin.get(path)).json()["_links"]["temporal"].endswith(execution["workflow_id"])
    refused = await other.get(path)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert (await client.get(f"/api/v1/task-executions/{new_id()}")).status_code == 404
    task_list = f"/api/v1/tasks/{execution['task_id']}/executions"
    assert (await client.get(task_list)).json()["items"] == [execution]


async def test_missing_variables_are_listed_or_refused(client: Client) -> None:
    task = await make_task(client)
    assert (await execute(client, task))["missing_variables"] == ["name"]
    strict = await client.post(task["_links"]["execute"], json={"strict_variables": True})
    assert strict.status_code == 422
    assert strict.json()["errors"][0]["loc"] == ["body", "variables", "name"]


async def test_text_in_braces_that_is_no_placeholder_is_named(client: Client) -> None:
    template = "Hello {{ user-name }}, {{ user.name }}, {{ name | upper }}"
    task = await make_task(client, prompt_template=template)
    for_each = [task, await execute(client, task, variables={"user-name": "Ada"})]
    for_each.append((await client.post(task["_links"]["dry_run"], json={})).json())
    for shown in for_each:
        assert [warning.split("}}")[0] for warning in shown["warnings"]] == [
            "{{ user.name ",
            "{{ name | upper ",
        ]
    body = {"variables": {"user-name": "Ada"}, "strict_variables": True}
    strict = await client.post(task["_links"]["execute"], json=body)
    assert strict.status_code == 422
    assert "{{ user.name }}" in strict.json()["errors"][0]["msg"]


async def test_a_variable_that_the_prompt_does_not_use_is_a_warning(client: Client) -> None:
    task = await make_task(client, prompt_template="Hello {{ name }} in {{ place }}")
    variables = {"name": "Ada", "unknown": 1, "place": "Turin"}
    planned = await client.post(task["_links"]["dry_run"], json={"variables": variables})
    started = await execute(client, task, variables=variables)
    for shown in (planned.json(), started):
        [warning] = shown["warnings"]
        assert warning == (
            "The prompt does not use these variables: unknown. It has the variables name, place."
        )


async def test_variables_obey_their_schema(client: Client) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}}
    task = await make_task(client, variables_schema=schema)
    refused = await client.post(task["_links"]["execute"], json={"variables": {"name": "Adam"}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["body", "variables", "name"]
    await execute(client, task, variables={"name": "Ada"})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"$ref": "http://127.0.0.1:9/x"},
        {"pattern": "("},
        {"pattern": "^(?=a)b$"},
        {"allOf": [{"pattern": r"(.)\1"}]},
    ],
)
async def test_a_schema_that_cannot_be_applied_is_refused(
    client: Client, schema: dict[str, Any]
) -> None:
    created = await client.post(
        "/api/v1/tasks",
        json={
            "name": new_id().hex,
            "prompt_template": "x",
            "allowed_tools": [],
            "sdk_options": {},
            "variables_schema": schema,
        },
    )
    assert created.status_code == 422, "refused where it is stored"
    assert created.json()["errors"][0]["type"] == "json_schema"


async def test_a_prompt_of_placeholders_is_refused(client: Client) -> None:
    """A million of them would block the gateway each time the prompt is rendered."""
    body = {"name": new_id().hex, "allowed_tools": [], "sdk_options": {}}
    prompt = "{{ a }}" * 10_001
    refused = await client.post("/api/v1/tasks", json={**body, "prompt_template": prompt})
    assert (refused.status_code, refused.json()["errors"][0]["loc"][-1]) == (422, "prompt_template")
    created = await client.post("/api/v1/tasks", json={**body, "prompt_template": prompt[7:]})
    assert created.status_code == 201
    # A prompt without variables is no template.
    started = await client.post("/api/v1/task-executions", json={"prompt": prompt})
    assert started.status_code == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"priority": False}, "priority"),
        ({"priority": 11}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"variables": []}, "variables"),
        ({"session_id": "x"}, "session_id"),
        ({"max_budget_usd": 0}, "max_budget_usd"),
        ({"deadline_at": "2020-01-01T00:00:00Z"}, "deadline_at"),
        ({"deadline_at": "2099-01-01T00:00:00"}, "deadline_at"),
        ({"deadline_at": "9999-12-31T23:59:59-12:00"}, "deadline_at"),
        ({"max_budget_usd": 1e30}, "max_budget_usd"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_execute_refuses_what_it_cannot_do(
    client: Client, body: dict[str, Any], field: str
) -> None:
    task = await make_task(client)
    response = await client.post(task["_links"]["execute"], json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][1] == field
    listed = (await client.get(task["_links"]["executions"])).json()
    assert listed["total"] == 0


async def test_a_wrong_id_is_refused_with_an_example(client: Client) -> None:
    for request in (
        client.get("/api/v1/task-executions/x"),
        client.get("/api/v1/task-executions", params={"task_id": "x"}),
        client.post("/api/v1/task-executions", json={"prompt": "x", "session_id": "x"}),
        client.post("/api/v1/task-executions", json={"prompt": "x", "session_id": 1}),
    ):
        response = await request
        assert response.status_code == 422
        assert "Enter an id, such as 019a" in response.json()["errors"][0]["msg"]


async def test_an_inactive_task_is_not_executed(client: Client) -> None:
    task = await make_task(client, is_active=False)
    response = await client.post(task["_links"]["execute"])
    assert (response.status_code, response.json()["code"]) == (409, "task_inactive")


async def test_an_execution_pins_its_version(client: Client) -> None:
    task = await make_task(client)
    before = await execute(client, task)
    await client.patch(task["_links"]["self"], json={"prompt_template": "Other."})
    after = await execute(client, task)
    assert (before["task_version"], after["task_version"]) == (1, 2)


async def test_executions_of_a_session_queue_up(
    world: World, client: Client, other: Client
) -> None:
    task = await make_task(client)
    session_id = str(await give_session(world, await execute(client, task)))
    queued = await execute(client, task, session_id=session_id)
    assert (queued["status"], queued["status_reason"]) == ("blocked", "session_busy")
    assert await signals(world, queued) == []
    assert queued["_links"]["session"] == f"/api/v1/sessions/{session_id}"
    body = {"session_id": str(new_id())}
    assert (await client.post(task["_links"]["execute"], json=body)).status_code == 404
    theirs = await make_task(other)
    body = {"session_id": session_id}
    assert (await other.post(theirs["_links"]["execute"], json=body)).status_code == 403


async def test_of_concurrent_executions_in_an_idle_session_one_runs(
    world: World, client: Client
) -> None:
    task = await make_task(client)
    session_id = await give_session(world, await execute(client, task), status="completed")
    started = await asyncio.gather(
        *(execute(client, task, session_id=str(session_id)) for _ in range(6))
    )
    assert sorted(e["status"] for e in started) == ["blocked"] * 5 + ["pending"]


async def test_cancel_asks_the_whole_tree(world: World, client: Client) -> None:
    task = await make_task(client)
    parent, child, done, queued = [await execute(client, task) for _ in range(4)]
    async with world.gateway.database.transaction() as session:
        for execution, status in ((child, "running"), (done, "completed"), (queued, "blocked")):
            row = await session.get_one(ExecutionRow, UUID(execution["id"]))
            row.parent_execution_id, row.status = UUID(parent["id"]), status
    response = await client.post(parent["_links"]["cancel"], json={"reason": "enough"})
    assert response.status_code == 202
    assert response.json()["cancel_requested_at"]
    assert response.json()["cancel_reason"] == "enough"
    assert (await signals(world, parent)).count("cancel") == 1
    assert await signals(world, child) == ["start", "cancel"]
    assert await signals(world, done) == ["start"]
    ended = (await client.get(queued["_links"]["self"])).json()
    assert (ended["status"], bool(ended["completed_at"])) == ("cancelled", True)
    assert "cancel" not in ended["_links"]
    events = (await client.get(queued["_links"]["events"])).json()["items"]
    assert [e["type"] for e in events] == ["execution.created", "execution.cancelled"]
    again = await client.post(parent["_links"]["cancel"])
    assert again.status_code == 202
    assert (await signals(world, parent)).count("cancel") == 1
    refused = await client.post(done["_links"]["cancel"])
    assert (refused.status_code, refused.json()["code"]) == (409, "execution_terminal")
    children = (await client.get(f"{parent['_links']['self']}/children")).json()
    assert [c["id"] for c in children["items"]] == [queued["id"], done["id"], child["id"]]


async def test_changes_leave_audit_rows(world: World, client: Client) -> None:
    task = await make_task(client)
    await client.patch(task["_links"]["self"], json={"tags": ["x"]})
    execution = await execute(client, task)
    await client.post(execution["_links"]["cancel"])
    await client.delete(task["_links"]["self"])
    async with world.gateway.database.reading() as session:
        rows = await session.scalars(
            select(AuditRow)
            .where(AuditRow.entity_id.in_([UUID(task["id"]), UUID(execution["id"])]))
            .order_by(AuditRow.id)
        )
        actions = [(row.action, str(row.actor_id)) for row in rows]
    owner = task["user_id"]
    expected = ["task.create", "task.update", "task.execute", "execution.cancel", "task.delete"]
    assert actions == [(action, owner) for action in expected]
    assert (await client.get(execution["_links"]["self"])).status_code == 200


async def test_a_wait_ends_when_the_execution_settles(world: World, client: Client) -> None:
    task = await make_task(client)
    path = task["_links"]["execute"]
    short = await client.post(f"{path}?wait=0.05")
    assert (short.status_code, short.json()["status"]) == (202, "pending")

    waiting = asyncio.create_task(client.post(f"{path}?wait=30"))
    async with world.gateway.database.transaction() as session:
        newest = select(ExecutionRow).where(ExecutionRow.task_id == UUID(task["id"]))
        while len(rows := (await session.scalars(newest)).all()) < 2:  # noqa: ASYNC110 - rows
            await asyncio.sleep(0.01)
        max(rows, key=lambda row: row.id).status = "waiting_for_user"
    response = await waiting
    assert (response.status_code, response.json()["status"]) == (200, "waiting_for_user")
    assert (await client.post(f"{path}?wait=61")).status_code == 422
    assert (await client.post(f"{path}?wait=nan")).status_code == 422


async def test_pages_show_each_row_once_while_rows_are_added(client: Client) -> None:
    task = await make_task(client)
    made = [await execute(client, task) for _ in range(7)]
    path = f"{task['_links']['executions']}?page_size=3"
    first = (await client.get(path)).json()
    assert (first["total"], first["page"], first["total_is_capped"]) == (7, 1, False)
    await execute(client, task)
    seen = [e["id"] for e in first["items"]]
    page = first
    while page["next_cursor"]:
        page = (await client.get(page["_links"]["next"])).json()
        seen += [e["id"] for e in page["items"]]
    assert seen == [e["id"] for e in reversed(made)]
    second = (await client.get(f"{path}&page=2")).json()
    assert [e["id"] for e in second["items"]] == [made[i]["id"] for i in (4, 3, 2)]
    assert (await client.get(f"{path}&page=9")).json()["items"] == []


async def test_a_filter_that_nothing_could_match_is_refused(client: Client) -> None:
    trigger = await client.get("/api/v1/task-executions?trigger_type=by_hand")
    unknown = await client.get("/api/v1/task-executions?state=failed")
    assert trigger.status_code == unknown.status_code == 422
    assert trigger.json()["errors"][0]["loc"] == ["query", "trigger_type"]
    assert unknown.json()["errors"][0]["msg"] == "This parameter does not exist; remove it."


async def test_lists_are_narrowed(world: World, client: Client) -> None:
    task = await make_task(client)
    made = [await execute(client, task) for _ in range(3)]
    await give_session(world, made[0], status="failed")
    await give_session(world, made[1], status="completed")
    path = task["_links"]["executions"]

    async def found(query: str) -> list[int]:
        response = await client.get(f"{path}?{query}")
        assert response.status_code == 200, response.text
        ids = [e["id"] for e in made]
        return sorted(ids.index(e["id"]) for e in response.json()["items"])

    assert await found("status=failed") == [0]
    assert await found("status=failed,completed") == [0, 1]
    assert await found("status=failed&status=pending&status=failed") == [0, 2]
    middle = made[1]["created_at"]
    assert await found(f"created_from={middle}") == [1, 2]
    assert await found(f"created_to={middle}") == [0]
    assert (await client.get(f"{path}?status=failed,broken")).status_code == 422
    assert (await client.get(f"{path}?created_from=2026-01-01")).status_code == 422
