"""Executions as tasks of a client that declares the extension."""

from uuid import UUID

import pytest
from mcp.client import advertise
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY

from api.mcp.tasks_extension import CANCEL_REASON, EXTENSION
from domain.ids import new_id
from persistence.tables.sessions import InputRequestRow
from services.executions.elicitations import MOST_DISMISSALS
from tests.api.mcp.agents import LEGACY, call, connect
from tests.api.mcp.tasks_client import (
    TasksClient,
    create,
    send,
    wait_for,
    wait_for_question,
)
from tests.api.mcp.work import APPROVAL, DONE, QUESTION, elicit, store_task
from tests.api.world import World
from tests.engine.storing import script, use


async def test_a_task_with_a_question_and_an_approval_completes(live: World) -> None:
    tasks = TasksClient(
        {"action": "accept", "content": {"answer": "blue"}},
        {"action": "accept", "content": {"decision": "approve"}},
    )
    task = await store_task(live, QUESTION, APPROVAL, DONE)
    async with connect(live, extensions=[tasks], elicitation_callback=elicit) as client:
        result = await call(client, "execute_task", task=task)
    assert result["result"] == "Painted."
    assert [r["answer"]["decision"] for r in result["answered_requests"]] == ["approve"] * 2
    assert result["answered_requests"][0]["answered_by"] == "alice"
    [created] = tasks.created
    assert (created.task_id, created.ttl_ms, created.status) == (
        result["execution_id"],
        None,
        "working",
    )
    question, approval = (asked["params"] for asked in tasks.asked)
    assert question["requestedSchema"]["properties"]["answer"]["enum"] == ["red", "blue"]
    assert "echo painted" in approval["message"]


async def test_a_failed_execution_is_a_completed_task_with_an_error(live: World) -> None:
    error = {"status": 400, "type": "invalid_request_error", "message": "The model broke."}
    task = await store_task(live, {"error": error})
    async with connect(live, extensions=[TasksClient()]) as client:
        created = await create(client, "execute_task", task=task)
        state = await wait_for(client, created.task_id, "completed")
    assert state.result is not None
    assert state.result["isError"] is True
    assert "The model broke." in state.result["content"][0]["text"]
    assert state.result["structuredContent"]["status"] == "failed"


async def test_a_cancelled_task_says_why_and_can_be_cancelled_again(live: World) -> None:
    task = await store_task(live, QUESTION)
    async with connect(live, extensions=[TasksClient()], elicitation_callback=elicit) as client:
        created = await create(client, "execute_task", task=task)
        await wait_for_question(client, created.task_id)
        for _ in range(2):
            await send(client.session, "cancel", created.task_id)
        state = await wait_for(client, created.task_id, "cancelled")
        await send(client.session, "cancel", created.task_id)
    assert CANCEL_REASON in (state.status_message or "")


async def test_a_closed_question_is_asked_again_until_only_its_page_is_left(live: World) -> None:
    task = await store_task(live, QUESTION)
    keys = set()
    async with connect(live, extensions=[TasksClient()], elicitation_callback=elicit) as client:
        created = await create(client, "execute_task", task=task)
        for _ in range(MOST_DISMISSALS):
            key, _asked = await wait_for_question(client, created.task_id)
            keys.add(key)
            await send(client.session, "update", created.task_id, {key: {"action": "cancel"}})
        state = await send(client.session, "get", created.task_id)
    assert len(keys) == MOST_DISMISSALS
    assert (state.status, state.input_requests) == ("input_required", {})
    assert "/inbox/" in (state.status_message or "")


async def test_an_answer_given_elsewhere_ends_the_question(live: World) -> None:
    task = await store_task(live, QUESTION, DONE)
    async with connect(live, extensions=[TasksClient()], elicitation_callback=elicit) as client:
        created = await create(client, "execute_task", task=task)
        key, _ = await wait_for_question(client, created.task_id)
        async with live.client("alice") as http:
            path = f"/api/v1/input-requests/{key.partition('.')[0]}/answer"
            answer = await http.post(path, json={"values": "red", "decision": "approve"})
            assert answer.status_code == 200, answer.text
        late = {key: {"action": "accept", "content": {"answer": "blue"}}}
        await send(client.session, "update", created.task_id, late)
        state = await wait_for(client, created.task_id, "completed")
    assert state.result is not None
    [answered] = state.result["structuredContent"]["answered_requests"]
    assert (answered["answer"]["values"], answered["answered_by"]) == ("red", "alice")


async def test_questions_of_subtasks_are_asked_too(live: World) -> None:
    child = script(QUESTION, {"text": "The child is done."})
    delegate = {"tool_use": use("delegate", title="The child", prompt=child)}
    tasks = TasksClient({"action": "accept", "content": {"answer": "red"}})
    task = await store_task(live, delegate, DONE)
    async with connect(live, extensions=[tasks], elicitation_callback=elicit) as client:
        result = await call(client, "execute_task", task=task)
    assert result["result"] == "Painted."
    assert "The child" in tasks.asked[0]["params"]["message"]


async def test_a_client_that_asks_no_one_gets_the_link(live: World) -> None:
    task = await store_task(live, QUESTION)
    async with connect(live, extensions=[TasksClient()]) as client:
        created = await create(client, "execute_task", task=task)
        state = await wait_for(client, created.task_id, "input_required")
        await send(client.session, "cancel", created.task_id)
    assert state.input_requests == {}
    assert "Which colour?" in (state.status_message or "")


async def test_only_the_own_tasks_of_declared_clients_exist(live: World) -> None:
    task = await store_task(live, DONE)
    async with connect(live, extensions=[TasksClient()]) as client:
        created = await create(client, "execute_task", task=task)
        for unknown in (str(new_id()), "no id", "' OR 1"):
            for verb in ("get", "update", "cancel"):
                with pytest.raises(MCPError, match="There is no task") as refused:
                    await send(client.session, verb, unknown)
                assert refused.value.error.code == INVALID_PARAMS
    async with connect(live, "bob", extensions=[TasksClient()]) as bob:
        with pytest.raises(MCPError, match="There is no task"):
            await send(bob.session, "get", created.task_id)
    async with connect(live) as plain:
        with pytest.raises(MCPError, match="watch_execution") as undeclared:
            await send(plain.session, "get", created.task_id)
        assert undeclared.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
        assert EXTENSION in str(undeclared.value.error.data)
    async with connect(live, mode=LEGACY, extensions=[advertise(EXTENSION)]) as legacy:
        with pytest.raises(MCPError) as older:
            await send(legacy.session, "get", created.task_id)
        assert older.value.error.code == METHOD_NOT_FOUND
        assert (await call(legacy, "execute_task", task=task))["result"] == "Painted."


async def test_without_wait_the_call_is_no_task(live: World) -> None:
    task = await store_task(live, DONE)
    async with connect(live, extensions=[TasksClient()]) as client:
        result = await call(client, "execute_task", task=task, wait=False)
    assert result["has_ended"] is False


async def test_a_task_exists_when_its_call_returns(live: World) -> None:
    task = await store_task(live, QUESTION)
    async with connect(live, extensions=[TasksClient()]) as client:
        created = await create(client, "execute_task", task=task)
        assert 1000 <= created.poll_interval_ms <= 15_000
        state = await send(client.session, "get", created.task_id)
        await send(client.session, "cancel", created.task_id)
    assert state.task_id == created.task_id


async def test_an_answer_through_a_task_is_audited_as_any_other(live: World) -> None:
    task = await store_task(live, QUESTION, DONE)
    tasks = TasksClient({"action": "decline"})
    async with connect(live, extensions=[tasks], elicitation_callback=elicit) as client:
        result = await call(client, "execute_task", task=task)
    request_id = result["answered_requests"][0]["input_request_id"]
    async with live.gateway.database.reading() as session:
        row = await session.get_one(InputRequestRow, UUID(request_id))
        assert row.answer == {"decision": "deny"}
    async with live.client("root", role="admin") as admin:
        entries = (await admin.get(f"/api/v1/audit-logs?entity_id={request_id}")).json()["items"]
    assert [entry["action"] for entry in entries] == ["input_request.answer"]
