"""Claude Code waits for an execution while the service is killed, or is restarted itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from domain.ids import new_id
from tests.api.mcp.work import APPROVAL, DONE, QUESTION, task_of
from tests.chaos.stack import Part, Stack
from tests.claude_code.conversation import ScriptedConversation, call, serve_conversation, write
from tests.claude_code.program import ClaudeCode, Terminal
from tests.engine.storing import Turn
from tests.waiting import eventually

PARTS: tuple[Part, ...] = ("api", "worker")

ANSWERS = (
    {"action": "accept", "content": {"answer": "blue"}},
    {"action": "accept", "content": {"decision": "approve"}},
)


@pytest.fixture
async def model() -> AsyncIterator[ScriptedConversation]:
    """The model of Claude Code."""
    async with serve_conversation("perdure") as conversation:
        yield conversation


@pytest.fixture
def claude_code(shared_stack: Stack, model: ScriptedConversation, tmp_path: Path) -> ClaudeCode:
    """Claude Code of the local user."""
    facts = shared_stack.up.facts()
    return ClaudeCode(tmp_path, f"{facts['api_url']}/mcp", facts["token"], model)


async def make_task(stack: Stack, *turns: Turn) -> str:
    body = task_of(*(turns or (QUESTION, APPROVAL, DONE)))
    task_id: str = (await stack.request("POST", "/tasks", body))["id"]
    return task_id


async def answer(
    terminal: Terminal, number: int, question: str, is_answered: Callable[[], bool]
) -> None:
    """Choose an answer; again if the question is shown again, under the same key.

    Claude Code does not repeat an answer that it sent while the gateway was unavailable. What the
    gateway has acknowledged is never lost (`test_acknowledged_answers.py`).
    """

    async def is_known() -> bool:
        return is_answered() or question in terminal.text

    while not is_answered():
        await terminal.choose(number)
        await eventually(is_known, what="an answer, or the question again")


async def kill_gateway_and_worker(stack: Stack) -> None:
    await asyncio.gather(*(stack.kill(part) for part in PARTS))
    await stack.request("GET", "/me")  # waits for the gateway


async def count_executions(stack: Stack, task: str) -> int:
    total: int = (await stack.request("GET", f"/task-executions?task_id={task}"))["total"]
    return total


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_task_survives_kills_of_the_gateway_and_the_worker(
    shared_stack: Stack, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await make_task(shared_stack)
    model.script(call("execute_task", task=task), write("It was started."), write("It is blue."))
    async with claude_code.terminal() as terminal:
        await terminal.prompt("Paint it.")
        await model.wait_for_request(2)
        await terminal.shows("Which colour?")
        await kill_gateway_and_worker(shared_stack)
        await answer(terminal, 2, "Which colour?", lambda: "echo painted" in terminal.text)
        await kill_gateway_and_worker(shared_stack)
        await answer(terminal, 1, "echo painted", lambda: len(model.requests) > 2)
    assert '"result":"Painted."' in model.texts
    assert '"answer":"blue"' in model.texts
    assert await count_executions(shared_stack, task) == 1


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_restarted_claude_code_shows_the_question_again(
    shared_stack: Stack, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await make_task(shared_stack)
    model.script(call("execute_task", task=task), write("It was started."), write("It is red."))
    async with claude_code.terminal() as terminal:
        await terminal.prompt("Paint it.")
        await model.wait_for_request(2)
        await terminal.shows("Which colour?")
    async with claude_code.terminal(resume=claude_code.session_id) as terminal:
        await terminal.shows("Which colour?")
        await answer(terminal, 1, "Which colour?", lambda: "echo painted" in terminal.text)
        await answer(terminal, 1, "echo painted", lambda: len(model.requests) > 2)
    assert '"result":"Painted."' in model.texts
    assert '"answer":"red"' in model.texts
    assert await count_executions(shared_stack, task) == 1


async def require_painted(stack: Stack, model: ScriptedConversation, task: str) -> None:
    """The latest result that Claude Code's model got is the task's, which ran once."""
    assert '"result":"Painted."' in model.results[-1].replace('": "', '":"'), model.results
    assert await count_executions(stack, task) == 1


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_call_in_print_mode_survives_kills_while_it_asks(
    shared_stack: Stack, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await make_task(shared_stack)
    model.script(call("execute_task", task=task), write("It is blue."))
    for number in (1, 2):
        claude_code.hold_answer(number)
    printing = asyncio.create_task(claude_code.print_answer("Paint it.", hook=ANSWERS))
    for number in (1, 2):
        await claude_code.wait_for_elicitation(number)
        await kill_gateway_and_worker(shared_stack)
        claude_code.release_answer(number)
    assert (await printing)["result"] == "It is blue."
    await require_painted(shared_stack, model, task)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_call_in_stream_mode_survives_kills_while_it_asks(
    shared_stack: Stack, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await make_task(shared_stack)
    model.script(call("execute_task", task=task), write("It is blue."))

    async def kill() -> None:
        await kill_gateway_and_worker(shared_stack)

    result, asked = await claude_code.host("Paint it.", *ANSWERS, before_answer=kill)
    assert result["result"] == "It is blue."
    assert len(asked) == 2
    await require_painted(shared_stack, model, task)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_an_interrupted_call_is_repeated_with_its_key(
    shared_stack: Stack, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    gate = str(new_id())
    task = await make_task(shared_stack, {**DONE, "gate": gate})
    execute = call("execute_task", task=task, idempotency_key=gate)
    is_back = asyncio.Event()
    model.script(execute, replace(execute, after=is_back), write("It is painted."))
    printing = asyncio.create_task(claude_code.print_answer("Paint it."))

    async def has_begun() -> bool:
        return any(gate.encode() in request for request in shared_stack.model.requests)

    await eventually(has_begun, what="the call of the model")
    await kill_gateway_and_worker(shared_stack)
    shared_stack.model.open_gate(gate)
    is_back.set()
    assert (await printing)["result"] == "It is painted."
    await require_painted(shared_stack, model, task)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["print", "stream"])
async def test_a_resumed_session_continues_the_execution(
    shared_stack: Stack, claude_code: ClaudeCode, model: ScriptedConversation, mode: str
) -> None:
    task = await make_task(shared_stack)
    execute = call("execute_task", task=task, idempotency_key=str(new_id()))
    model.script(execute, write("It asks."), execute, write("It is blue."))
    await claude_code.print_answer("Paint it.")
    assert json.loads(model.results[-1])["status"] == "waiting_for_user"
    await kill_gateway_and_worker(shared_stack)
    session = claude_code.session_id
    if mode == "print":
        result = await claude_code.print_answer("Continue.", hook=ANSWERS, resume=session)
    else:
        result, _ = await claude_code.host("Continue.", *ANSWERS, resume=session)
    assert result["result"] == "It is blue."
    await require_painted(shared_stack, model, task)
