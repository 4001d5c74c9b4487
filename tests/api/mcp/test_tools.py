import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from api.http.errors import STATUS, HeadTooLargeError, HostRefusedError
from api.mcp.catalogue import CATALOGUE
from api.mcp.errors import INTERNAL_ADVICE, advice_for, list_codes
from domain.executions.events import Event
from domain.ids import new_id
from persistence.executions import events
from persistence.tables.executions import ExecutionRow
from tests.api.mcp.agents import ERAS, LEGACY, MODERN, call, connect, read_refusal
from tests.api.world import APPROVAL, World, ask, execute, give_session, make_task

DEFAULT_TOOLS = [
    "execute_task",
    "create_task",
    "list_tasks",
    "get_execution",
    "watch_execution",
    "list_input_requests",
    "answer_input_request",
    "get_artifact",
]


async def end(world: World, execution_id: str, text: str) -> None:
    """Complete an execution, as its workflow does."""
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution_id))
        row.status = "completed"
        row.result_data = {"text": text}
        await events.append(session, row.id, Event("execution.completed"))


@pytest.mark.parametrize("mode", ERAS)
async def test_the_default_tools_are_listed_in_order(world: World, mode: str) -> None:
    async with connect(world, mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert "execute_task" in (client.instructions or "")
    assert [tool.name for tool in tools] == DEFAULT_TOOLS
    for tool in tools:
        assert tool.title
        assert tool.annotations is not None
        assert tool.input_schema["type"] == "object"
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
        assert "next_step" in tool.output_schema["properties"]
        assert 100 < len(tool.description or "") <= 4096


def test_no_text_names_a_verb_that_agents_do_not_have() -> None:
    for tool in CATALOGUE.list_tools(CATALOGUE.groups):
        assert "heartbeat" not in tool.definition.model_dump_json().lower(), tool.name


def test_schemas_name_each_argument_of_the_contract() -> None:
    expected = {
        "execute_task": {
            "task",
            "variables",
            "session_id",
            "max_budget_usd",
            "idempotency_key",
            "wait",
        },
        "list_tasks": {"q", "tag", "limit", "cursor", "status", "include_deleted"},
        "get_execution": {"execution_id"},
        "watch_execution": {"execution_id", "timeout_seconds", "after"},
        "list_input_requests": {"status", "execution_id"},
        "answer_input_request": {
            "input_request_id",
            "decision",
            "values",
            "message",
            "input",
            "remember",
        },
        "get_artifact": {"artifact_id", "offset"},
    }
    for name, arguments in expected.items():
        tool = CATALOGUE.find(name)
        assert tool is not None
        assert set(tool.definition.input_schema["properties"]) == arguments


@pytest.mark.parametrize("mode", ERAS)
async def test_a_task_is_created_executed_and_watched(world: World, mode: str) -> None:
    name = f"agent {new_id()}"
    async with connect(world, mode=mode) as client:
        made = await call(
            client, "create_task", name=name, prompt_template="Say hello to {{ name }}."
        )
        assert made["variables"] == ["name"]
        listed = await call(client, "list_tasks", q=name)
        assert [task["task_id"] for task in listed["tasks"]] == [made["task_id"]]
        started = await call(
            client, "execute_task", task=name, variables={"name": "Ada"}, wait=False
        )
        assert (started["status"], started["has_ended"]) == ("pending", False)
        execution_id = started["execution_id"]
        details = await call(client, "get_execution", execution_id=execution_id)
        assert details["variables"] == {"name": "Ada"}
        watching = asyncio.create_task(
            call(client, "watch_execution", execution_id=execution_id, after=1)
        )
        await end(world, execution_id, "Hello, Ada.")
        watched = await watching
        assert (watched["result"], watched["has_ended"]) == ("Hello, Ada.", True)
        assert [event["type"] for event in watched["events"]] == ["execution.completed"]
        assert watched["after"] == 2
    async with world.client("alice") as http:
        execution = (await http.get(f"/api/v1/task-executions/{execution_id}")).json()
    assert (execution["trigger_type"], execution["task_id"]) == ("mcp", made["task_id"])


@pytest.mark.parametrize("mode", ERAS)
async def test_a_call_waits_for_the_result_and_reports_progress(
    world: World, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.mcp.work.PROGRESS_SECONDS", 0.2)
    async with world.client("alice") as http:
        task = await make_task(http)
    reported: list[tuple[float, str]] = []
    asked = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        reported.append((progress, message or ""))
        asked.set()

    async with connect(world, mode=mode) as client:
        calling = asyncio.create_task(
            client.call_tool("execute_task", {"task": task["id"]}, progress_callback=on_progress)
        )
        await asyncio.wait_for(asked.wait(), 30)
        async with world.client("alice") as http:
            (execution,) = (await http.get(task["_links"]["executions"])).json()["items"]
        await end(world, execution["id"], "Bonjour.")
        result: Any = await calling
    assert result.structured_content["result"] == "Bonjour."
    assert reported[0][0] > 0
    assert "pending, 0 turns" in reported[0][1]


async def test_a_closed_connection_does_not_cancel_the_execution(world: World) -> None:
    async with world.client("alice") as http:
        task = await make_task(http)
    async with connect(world) as client:
        calling = asyncio.create_task(client.call_tool("execute_task", {"task": task["id"]}))
        async with world.client("alice") as http:
            items: list[Any] = []
            while not items:
                items = (await http.get(task["_links"]["executions"])).json()["items"]
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        read = await call(client, "get_execution", execution_id=items[0]["id"])
    assert read["status"] == "pending"
    async with world.client("alice") as http:
        execution = (await http.get(f"/api/v1/task-executions/{items[0]['id']}")).json()
    assert execution["cancel_requested_at"] is None


async def test_an_idempotency_key_starts_once(world: World) -> None:
    async with world.client("alice") as http:
        task, other = await make_task(http), await make_task(http)
    async with connect(world) as client:
        key = str(new_id())
        first = await call(client, "execute_task", task=task["id"], idempotency_key=key, wait=False)
        again = await call(client, "execute_task", task=task["id"], idempotency_key=key, wait=False)
        assert again["execution_id"] == first["execution_id"]
        error = await read_refusal(
            client, "execute_task", task=other["id"], idempotency_key=key, wait=False
        )
    assert error["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("mode", ERAS)
async def test_errors_say_what_is_wrong_and_what_to_do(world: World, mode: str) -> None:
    async with connect(world, mode=mode) as client:
        error = await read_refusal(client, "execute_task", task="no such task")
        assert error["code"] == "not_found"
        assert "'no such task' does not exist" in error["message"]
        assert "list_tasks" in error["next_step"]
        error = await read_refusal(client, "execute_task", tusk="x", wait="yes")
        assert error["code"] == "invalid_input"
        assert {one["argument"] for one in error["errors"]} == {"task", "tusk", "wait"}
        with pytest.raises(MCPError, match="Unknown tool: no_such_tool"):
            await client.call_tool("no_such_tool", {})


async def test_another_users_objects_do_not_exist(world: World) -> None:
    async with world.client("alice") as http:
        task = await make_task(http)
        execution = await execute(http, task)
        await give_session(world, execution)
        request_id = await ask(world, execution)
        artifact = await http.post("/api/v1/artifacts", json={"name": "a.txt", "content": "a"})
    async with connect(world, "bob") as client:
        for tool, arguments in (
            ("execute_task", {"task": task["id"]}),
            ("execute_task", {"task": task["name"]}),
            ("get_execution", {"execution_id": execution["id"]}),
            ("watch_execution", {"execution_id": execution["id"]}),
            ("answer_input_request", {"input_request_id": request_id, "message": "blue"}),
            ("get_artifact", {"artifact_id": artifact.json()["id"]}),
        ):
            theirs = await read_refusal(client, tool, **arguments)
            absent = {name: str(new_id()) for name in arguments if name != "message"}
            missing = await read_refusal(client, tool, **{**arguments, **absent})
            assert theirs["code"] == missing["code"] == "not_found"
            ids = zip(arguments.values(), {**arguments, **absent}.values(), strict=True)
            shown = missing["message"]
            for given, other in ids:
                shown = shown.replace(other, given)
            assert theirs["message"].replace("'", "") == shown.replace("'", "")
        listed = await call(client, "list_input_requests", execution_id=execution["id"])
    assert listed["input_requests"] == []


async def test_a_user_id_must_be_that_of_the_connection(world: World) -> None:
    async with world.client("alice") as http:
        me = (await http.get("/api/v1/me")).json()
    async with connect(world) as client:
        own = await call(client, "list_tasks", user_id="alice", q="no such text")
        assert own == await call(client, "list_tasks", user_id=me["id"], q="no such text")
        error = await read_refusal(client, "list_tasks", user_id="bob")
    assert error["code"] == "permission_denied"


async def test_questions_are_answered_and_approvals_need_the_scope(world: World) -> None:
    async with world.client("alice") as http:
        execution = await execute(http, await make_task(http))
        key = await http.post("/api/v1/api-keys", json={"name": str(new_id())})
        approving = await http.post(
            "/api/v1/api-keys", json={"name": str(new_id()), "scopes": ["approve"]}
        )
    await give_session(world, execution, "waiting_for_user")
    question, approval = await ask(world, execution), await ask(world, execution, **APPROVAL)
    decision = {"input_request_id": approval, "decision": "approve"}
    async with connect(world, token=key.json()["secret"]) as client:
        read = await call(client, "get_execution", execution_id=execution["id"])
        assert [one["needs_person"] for one in read["input_requests"]] == [False, True]
        assert f"/inbox/{approval}" in read["next_step"]
        answered = await call(
            client, "answer_input_request", input_request_id=question, message="blue"
        )
        assert (answered["status"], answered["answer"]["message"]) == ("answered", "blue")
        error = await read_refusal(client, "answer_input_request", **decision)
        assert error["code"] == "scope_missing"
        assert f"/inbox/{approval}" in error["message"]
    async with connect(world, token=approving.json()["secret"]) as client:
        answered = await call(client, "answer_input_request", **decision)
    assert answered["answer"]["decision"] == "approve"


async def test_a_secret_that_a_person_entered_is_hidden_from_models(world: World) -> None:
    account = {"user": {"type": "string"}, "key": {"type": "string", "format": "password"}}
    schema = {"type": "object", "properties": {"login": {"type": "object", "properties": account}}}
    async with world.client("alice") as http:
        execution = await execute(http, await make_task(http))
        await give_session(world, execution, "waiting_for_user")
        request_id = await ask(world, execution, kind="form", schema=schema)
        values = {"login": {"user": "ada", "key": "hunter2"}}
        path = f"/api/v1/input-requests/{request_id}/answer"
        async with world.gateway.database.transaction() as session:
            row = await session.get_one(ExecutionRow, UUID(execution["id"]))
            row.started_at = row.created_at
        assert (await http.post(path, json={"values": values})).status_code == 200
    async with connect(world) as client:
        read = await call(client, "get_execution", execution_id=execution["id"])
        listed = await call(
            client, "list_input_requests", status="answered", execution_id=execution["id"]
        )
    for shown in (read["answered_requests"], listed["input_requests"]):
        assert shown[0]["answer"]["values"] == {"login": {"user": "ada", "key": "(hidden)"}}
    assert "hunter2" not in str(read) + str(listed)


async def test_a_watch_returns_when_a_person_is_needed(world: World) -> None:
    async with world.client("alice") as http:
        execution = await execute(http, await make_task(http))
    await give_session(world, execution)
    async with connect(world) as client:
        soon = await call(
            client, "watch_execution", execution_id=execution["id"], timeout_seconds=0.1
        )
        assert (soon["status"], soon["input_requests"]) == ("running", [])
        watching = asyncio.create_task(
            call(client, "watch_execution", execution_id=execution["id"], after=soon["after"])
        )
        request_id = await ask(world, execution)
        async with world.gateway.database.transaction() as session:
            row = await session.get_one(ExecutionRow, UUID(execution["id"]))
            row.status = "waiting_for_user"
            await events.append(session, row.id, Event("input.requested"))
        watched = await watching
    assert [one["input_request_id"] for one in watched["input_requests"]] == [request_id]
    assert watched["input_requests"][0]["url"].endswith(f"/inbox/{request_id}")


async def test_texts_come_in_parts_and_pictures_as_pictures(world: World) -> None:
    text = "é" * 30_000
    async with world.client("alice") as http:
        made = await http.post("/api/v1/artifacts", json={"name": "a.txt", "content": text})
        picture = await http.post(
            "/api/v1/artifacts", json={"name": "a.png", "content_base64": "iVBORw0KGgo="}
        )
    async with connect(world) as client:
        read = ""
        offset: int | None = 0
        while offset is not None:
            part = await call(client, "get_artifact", artifact_id=made.json()["id"], offset=offset)
            read, offset = read + part["text"], part["next_offset"]
        assert read == text
        result: Any = await client.call_tool("get_artifact", {"artifact_id": picture.json()["id"]})
        assert result.structured_content["text"] is None
        assert [block.type for block in result.content] == ["text", "image"]
        beyond = await read_refusal(
            client, "get_artifact", artifact_id=made.json()["id"], offset=70_000
        )
    assert beyond["errors"][0]["argument"] == "offset"


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_a_to_do_becomes_a_task(world: World, mode: str, client: httpx2.AsyncClient) -> None:
    async with connect(world, mode=mode) as agent:
        made = await call(agent, "create_task", title=f"to-do {new_id()}", description="Buy milk.")
        assert made["prompt_template"] == "Buy milk."
        await client.delete(f"/api/v1/tasks/{made['task_id']}")
        assert (await call(agent, "list_tasks", q=made["name"]))["tasks"] == []
        listed = await call(agent, "list_tasks", q=made["name"], include_deleted=True)
        assert [task["is_deleted"] for task in listed["tasks"]] == [True]
        error = await read_refusal(agent, "create_task", title="a", name="b", description="c")
    assert error["errors"][0]["message"] == "Send either name or title."


def test_every_error_of_a_request_has_advice() -> None:
    raised = [error for error, status in STATUS.items() if status < 500 or status == 503]
    only_http = {HostRefusedError, HeadTooLargeError}
    unadvised = {error for error in raised if advice_for(error) == INTERNAL_ADVICE}
    assert unadvised == only_http
    assert set(list_codes()) >= {"not_found", "scope_missing", "quota_exceeded", "internal_error"}


async def test_a_call_without_progress_returns_before_clients_give_up(
    world: World, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.mcp.work.WAIT_SECONDS", 0.2)
    task = await make_task(client)
    async with connect(world) as agent:
        result = await call(agent, "execute_task", task=task["id"])
    assert (result["status"], result["has_ended"]) == ("pending", False)
    assert "watch_execution" in result["next_step"]


async def test_a_user_with_too_many_streams_does_not_wait(
    world: World, client: httpx2.AsyncClient
) -> None:
    task, limit = await make_task(client), world.gateway.settings.max_streams_per_user
    me = UUID((await client.get("/api/v1/me")).json()["id"])
    leave = [world.gateway.streams.enter(me) for _ in range(limit)]
    try:
        async with connect(world) as agent:
            result = await call(agent, "execute_task", task=task["id"])
            with pytest.raises(MCPError):
                async with agent.listen(tools_list_changed=True):
                    pass
    finally:
        for one in leave:
            one()
    assert result["has_ended"] is False


async def test_lists_contain_the_beginning_of_long_prompts(
    world: World, client: httpx2.AsyncClient
) -> None:
    task = await make_task(client, prompt_template="é" * 20_000)
    async with connect(world) as agent:
        listed = await call(agent, "list_tasks", q=task["name"])
    assert listed["tasks"][0]["prompt_template"] == "é" * 500 + "…"
