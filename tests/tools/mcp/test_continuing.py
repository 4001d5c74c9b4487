"""Answers of servers that are no results yet, and results with files, over real HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cli.stack.addresses import free_port
from domain.mcp.remote_waits import RemoteState, RemoteWait, respond
from domain.mcp.servers import ResolvedServer
from domain.tools.calls import ToolOutcome
from tests.tools.mcp.conftest import Attempt, Worker
from tests.tools.mcp.remote_server import PNG, RemoteServer

TEXT = {"content": [{"type": "text", "text": "finished"}]}
COUNT = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}


def elicitation(schema: Any = COUNT, **more: Any) -> dict[str, Any]:
    params = {"mode": "form", "message": "How many?", "requestedSchema": schema, **more}
    return {"method": "elicitation/create", "params": params}


@pytest.fixture
async def shop(worker: Worker) -> AsyncIterator[RemoteServer]:
    server = RemoteServer()
    async with server.serve():
        worker.servers["shop"] = ResolvedServer("shop", url=server.url)
        yield server


@pytest.fixture
async def attempt(worker: Worker, shop: RemoteServer) -> AsyncIterator[Attempt]:
    assert shop.url
    async with worker.attempt() as attempt:
        await attempt.pin()
        yield attempt


async def start(attempt: Attempt, tool: str) -> RemoteWait:
    return wait_of(await attempt.call(f"mcp__shop__{tool}"))


def wait_of(outcome: ToolOutcome) -> RemoteWait:
    assert outcome.wait is not None, outcome.text
    return outcome.wait


async def resume(attempt: Attempt, tool: str, state: RemoteState) -> ToolOutcome:
    return await attempt.call(f"mcp__shop__{tool}", state=state)


async def test_parts_that_are_no_text_are_files(attempt: Attempt) -> None:
    outcome = await attempt.call("mcp__shop__files")
    found = {file.name: (file.media_type, file.path.read_bytes()) for file in outcome.artifacts}
    assert found == {
        "image.png": ("image/png", PNG),
        "image-2.png": ("image/png", PNG),
        "a b.bin": ("application/octet-stream", PNG),
        "resource.bin": ("application/octet-stream", PNG),
        "numbers.csv": ("text/csv", b"a,b\n1,2\n"),
    }
    lines = outcome.text.splitlines()
    assert lines[0] == "here"
    assert "saved as the artifact image.png" in lines[1]
    assert "not valid base64" in lines[3]
    assert lines[6] == "[Resource link: numbers] shop://report/7 (of today)"
    assert lines[-1] == "[Resource link: gone] shop://gone"


async def test_a_task_is_polled_by_another_attempt(
    worker: Worker, shop: RemoteServer, attempt: Attempt
) -> None:
    wait = await start(attempt, "work")
    assert wait.state["task"] == "task-1"
    [task] = shop.tasks.tasks
    async with worker.attempt() as other:
        other.tools = attempt.tools
        assert wait_of(await resume(other, "work", wait.state)).state == wait.state
        task.status, task.result = "completed", TEXT
        outcome = await resume(other, "work", wait.state)
    assert (outcome.text, outcome.is_error) == ("finished", False)
    assert len(shop.tasks.tasks) == 1
    assert (len(attempt.started), other.started) == (1, [])


async def test_a_task_that_ends_badly_is_an_error(shop: RemoteServer, attempt: Attempt) -> None:
    wait = await start(attempt, "work")
    [task] = shop.tasks.tasks
    task.status, task.error = "failed", {"code": -1, "message": "no disk"}
    outcome = await resume(attempt, "work", wait.state)
    assert outcome.is_error
    assert "no disk" in outcome.text
    shop.tasks.tasks.clear()
    outcome = await resume(attempt, "work", wait.state)
    assert outcome.is_error
    assert "no such task" in outcome.text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "completed", "result": {"content": "no list"}}, "follow the protocol"),
        ({"status": "failed", "error": {"message": 7}}, "failed: 7"),
    ],
)
async def test_an_end_that_breaks_the_protocol_is_an_error(
    shop: RemoteServer, attempt: Attempt, fields: dict[str, Any], reason: str
) -> None:
    wait = await start(attempt, "work")
    [task] = shop.tasks.tasks
    for name, value in fields.items():
        setattr(task, name, value)
    outcome = await resume(attempt, "work", wait.state)
    assert outcome.is_error
    assert reason in outcome.text


async def test_an_outage_while_a_task_is_polled_is_no_end(worker: Worker, attempt: Attempt) -> None:
    wait = await start(attempt, "work")
    worker.servers["shop"] = ResolvedServer("shop", url=f"http://127.0.0.1:{free_port()}/mcp")
    later = wait_of(await resume(attempt, "work", wait.state))
    assert (later.state["task"], later.state["failures"]) == ("task-1", 1)


async def test_a_task_asks_one_question_after_the_other(
    shop: RemoteServer, attempt: Attempt
) -> None:
    wait = await start(attempt, "work")
    [task] = shop.tasks.tasks
    task.status = "input_required"
    address = "https://shop.example.com/pay"
    link = {"mode": "url", "message": "Pay", "url": address, "elicitationId": "e1"}
    task.input_requests = {
        "a": elicitation(),
        "b": {"method": "elicitation/create", "params": link},
        "c": {"method": "roots/list"},
    }
    first = wait_of(await resume(attempt, "work", wait.state))
    assert first.question is not None
    assert (first.question.message, first.question.schema) == ("How many?", COUNT)
    state = respond(first.state, {"action": "accept", "content": {"count": 3}})
    second = wait_of(await resume(attempt, "work", state))
    assert second.question is not None
    assert (second.question.key, second.question.url) == ("b", address)
    state = respond(second.state, {"action": "decline"})
    later = wait_of(await resume(attempt, "work", state))
    assert later.question is None
    assert task.responses == {
        "a": {"action": "accept", "content": {"count": 3}},
        "b": {"action": "decline"},
        "c": {"roots": []},
    }
    task.status, task.result, task.input_requests = "completed", TEXT, {}
    assert (await resume(attempt, "work", later.state)).text == "finished"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"method": "sampling/createMessage", "params": {}}, "sampling"),
        ({"method": "other"}, "does not support"),
        (elicitation({**COUNT, "title": "a" * 2**20}), "1024 KiB"),
    ],
)
async def test_what_no_person_can_give_ends_the_task(
    shop: RemoteServer, attempt: Attempt, request_: dict[str, Any], reason: str
) -> None:
    wait = await start(attempt, "work")
    [task] = shop.tasks.tasks
    task.status, task.input_requests = "input_required", {"a": request_}
    outcome = await resume(attempt, "work", wait.state)
    assert outcome.is_error
    assert reason in outcome.text
    assert shop.tasks.cancelled == ["task-1"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (elicitation({"type": "object", "properties": {"a": {"type": "object"}}}), "'a'"),
        (elicitation({"type": "string"}), "not an object"),
        (elicitation(mode="url", url="file:///etc", elicitationId="e"), "no web page"),
        ({"method": "elicitation/create", "params": {}}, "follow the protocol"),
    ],
)
async def test_a_question_that_cannot_be_shown_is_dismissed(
    shop: RemoteServer, attempt: Attempt, request_: dict[str, Any], reason: str
) -> None:
    wait = await start(attempt, "work")
    [task] = shop.tasks.tasks
    task.status, task.input_requests = "input_required", {"a": request_, "b": elicitation()}
    asked = wait_of(await resume(attempt, "work", wait.state))
    assert asked.question is not None
    assert asked.question.key == "b"
    state = respond(asked.state, {"action": "decline"})
    later = wait_of(await resume(attempt, "work", state))
    assert task.responses == {"a": {"action": "cancel"}, "b": {"action": "decline"}}
    assert shop.tasks.cancelled == []
    [note] = later.state["notes"]
    assert reason in note


async def test_a_call_that_asks_continues_with_the_answer(
    shop: RemoteServer, attempt: Attempt
) -> None:
    wait = await start(attempt, "order")
    assert wait.question is not None
    assert wait.question.schema is not None
    assert shop.orders == []
    state = respond(wait.state, {"action": "accept", "content": {"count": 4}})
    outcome = await resume(attempt, "order", state)
    assert outcome.text == "ordered 4"
    assert [order.count for order in shop.orders] == [4]
    # The continuation may take effect, so it is recorded before it is sent.
    assert len(attempt.started) == 2


async def test_a_declined_call_is_an_error(shop: RemoteServer, attempt: Attempt) -> None:
    wait = await start(attempt, "order")
    outcome = await resume(attempt, "order", respond(wait.state, {"action": "decline"}))
    assert outcome.is_error
    assert shop.orders == []
