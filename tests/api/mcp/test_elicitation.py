"""Questions of an execution in the call that started it, without the tasks extension."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from mcp.client import Client, ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)

from api.main import create_app
from api.mcp.elicitation import MOST_ROUNDS
from tests.api.conftest import serve_app
from tests.api.mcp.agents import ERAS, LEGACY, call, connect
from tests.api.mcp.work import APPROVAL, DONE, QUESTION, elicit, store_task
from tests.api.world import World
from tests.engine.storing import use

Json = dict[str, Any]
BLUE = ElicitResult(action="accept", content={"answer": "blue"})
CANCEL = ElicitResult(action="cancel")
PAGE_ONLY = {"tool_use": use("ask_user", question="?" * 7_000)}


class Person:
    """Answers elicitations one after the other; the last answer is repeated."""

    def __init__(self, *answers: ElicitResult) -> None:
        self.answers = answers
        self.asked: list[ElicitRequestParams] = []

    async def __call__(self, _: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


async def start(client: Client, task: str) -> InputRequiredResult:
    """Execute a task that asks; the interim result."""
    result = await client.session.call_tool(
        "execute_task", {"task": task}, allow_input_required=True
    )
    assert isinstance(result, InputRequiredResult)
    return result


async def repeat(
    client: Client, asked: InputRequiredResult, task: str, answer: ElicitResult
) -> Json:
    """Repeat the call with an answer; the final result."""
    [key] = asked.input_requests or {}
    result = await client.session.call_tool(
        "execute_task",
        {"task": task},
        input_responses={key: answer},
        request_state=asked.request_state,
    )
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def count_executions(world: World, task: str) -> int:
    async with world.client("alice") as client:
        listed = (await client.get(f"/api/v1/task-executions?task_id={task}")).json()
    total: int = listed["total"]
    return total


@pytest.mark.parametrize("mode", ERAS)
async def test_a_call_asks_a_question_and_an_approval(live: World, mode: str) -> None:
    person = Person(BLUE, ElicitResult(action="accept", content={"decision": "approve"}))
    task = await store_task(live, QUESTION, APPROVAL, DONE)
    async with connect(live, mode=mode, elicitation_callback=person) as client:
        result = await call(client, "execute_task", task=task)
    assert result["result"] == "Painted."
    question, approval = person.asked
    assert isinstance(question, ElicitRequestFormParams)
    assert "Which colour?" in question.message
    assert "echo painted" in approval.message
    assert await count_executions(live, task) == 1


@pytest.fixture
async def other_gateway(live: World) -> AsyncIterator[str]:
    """The URL of a second gateway on the same database."""
    async with serve_app(create_app(live.gateway.settings)) as url:
        yield url


async def test_another_gateway_takes_the_responses_of_older_clients(
    live: World, other_gateway: str
) -> None:
    approve = ElicitResult(action="accept", content={"decision": "approve"})
    person = Person(ElicitResult(action="accept", content={"answer": "green"}), BLUE, approve)
    task = await store_task(live, QUESTION, APPROVAL, DONE)
    options: Json = {"mode": LEGACY, "elicitation_callback": person, "replies_to": other_gateway}
    async with connect(live, **options) as client:
        result = await call(client, "execute_task", task=task)
    assert result["result"] == "Painted."
    assert len(person.asked) == 3  # the invalid answer is asked again


async def test_a_question_closed_at_another_gateway_ends_the_call(
    live: World, other_gateway: str
) -> None:
    person = Person(CANCEL)
    task = await store_task(live, QUESTION, DONE)
    options: Json = {"mode": LEGACY, "elicitation_callback": person, "replies_to": other_gateway}
    async with connect(live, **options) as client:
        result = await call(client, "execute_task", task=task)
    assert result["input_requests"][0]["url"] in result["next_step"]
    assert len(person.asked) == 1


@pytest.mark.parametrize("mode", ERAS)
async def test_a_closed_question_ends_the_call_with_the_link(live: World, mode: str) -> None:
    person = Person(CANCEL)
    task = await store_task(live, QUESTION, DONE)
    async with connect(live, mode=mode, elicitation_callback=person) as client:
        result = await call(client, "execute_task", task=task)
        [request] = result["input_requests"]
        assert (result["status"], request["status"]) == ("waiting_for_user", "open")
        assert request["url"] in result["next_step"]
        assert len(person.asked) == 1
        answer = {"input_request_id": request["input_request_id"], "values": "blue"}
        await call(client, "answer_input_request", **answer)
        ended = await call(client, "watch_execution", execution_id=result["execution_id"])
    assert ended["has_ended"]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_call_asks_a_limited_number_of_times(live: World, mode: str) -> None:
    person = Person(ElicitResult(action="accept", content={"answer": "green"}))
    task = await store_task(live, QUESTION)
    async with connect(live, mode=mode, elicitation_callback=person) as client:
        result = await call(client, "execute_task", task=task)
    assert len(person.asked) == MOST_ROUNDS
    assert 'Choose one of "red", "blue"' in person.asked[-1].message
    assert "/inbox/" in result["next_step"]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_request_without_a_form_opens_its_page(live: World, mode: str) -> None:
    person = Person(CANCEL)
    task = await store_task(live, PAGE_ONLY)
    async with connect(live, mode=mode, elicitation_callback=person) as client:
        result = await call(client, "execute_task", task=task)
    [page] = person.asked
    assert isinstance(page, ElicitRequestURLParams)
    assert page.url == result["input_requests"][0]["url"]


async def test_an_answer_given_elsewhere_ends_the_question_of_an_older_client(
    live: World,
) -> None:
    task = await store_task(live, QUESTION, DONE)
    never = asyncio.Event()

    async def answer_elsewhere(*_: Any) -> ElicitResult:
        async with live.client("alice") as http:
            execution = (await http.get(f"/api/v1/task-executions?task_id={task}")).json()
            path = execution["items"][0]["_links"]["input_requests"]
            [request] = (await http.get(path)).json()["items"]
            await http.post(request["_links"]["answer"], json={"values": "red"})
        await never.wait()
        raise AssertionError

    async with connect(live, mode=LEGACY, elicitation_callback=answer_elsewhere) as client:
        result = await call(client, "execute_task", task=task)
    assert result["result"] == "Painted."


async def test_a_client_that_asks_no_one_gets_the_link(live: World) -> None:
    task = await store_task(live, QUESTION)
    async with connect(live) as client:
        result = await call(client, "execute_task", task=task)
    assert result["input_requests"][0]["url"] in result["next_step"]


async def test_a_repeated_call_continues_the_same_execution_after_a_reconnect(
    live: World,
) -> None:
    task = await store_task(live, QUESTION, DONE)
    async with connect(live, elicitation_callback=elicit) as client:
        asked = await start(client, task)
    async with connect(live, elicitation_callback=elicit) as client:
        result = await repeat(client, asked, task, BLUE)
        again = await repeat(client, asked, task, BLUE)
    assert result["result"] == "Painted."
    assert again["execution_id"] == result["execution_id"]
    assert await count_executions(live, task) == 1


def _of_bob(asked: InputRequiredResult) -> Json:
    return {"user": "bob", "request_state": asked.request_state}


def _forged(asked: InputRequiredResult) -> Json:
    return {"user": "alice", "request_state": f"{asked.request_state}x"}


def _plain(_: InputRequiredResult) -> Json:
    return {"user": "alice", "request_state": '{"execution_id": "x"}'}


@pytest.mark.parametrize("change", [_of_bob, _forged, _plain])
async def test_a_state_that_was_not_made_for_the_call_is_refused(
    live: World, change: Callable[[InputRequiredResult], Json]
) -> None:
    task = await store_task(live, QUESTION)
    async with connect(live, elicitation_callback=elicit) as client:
        asked = await start(client, task)
    changed = change(asked)
    user = changed.pop("user")
    async with connect(live, user, elicitation_callback=elicit) as client:
        with pytest.raises(MCPError, match="requestState"):
            await client.session.call_tool("execute_task", {"task": task}, **changed)
    async with connect(live, elicitation_callback=elicit) as client:
        result = await client.session.call_tool("list_tasks", {})
    assert isinstance(result, CallToolResult)
