"""Claude Code waits for an execution while the service is killed, or is restarted itself."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.api.mcp.work import APPROVAL, DONE, QUESTION, task_of
from tests.chaos.stack import Part, Stack
from tests.claude_code.conversation import ScriptedConversation, call, serve_conversation, write
from tests.claude_code.program import ClaudeCode, Terminal
from tests.waiting import eventually

PARTS: tuple[Part, ...] = ("api", "worker")


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


async def make_task(stack: Stack) -> str:
    task_id: str = (await stack.request("POST", "/tasks", task_of(QUESTION, APPROVAL, DONE)))["id"]
    return task_id


async def answer(
    terminal: Terminal, number: int, question: str, is_answered: Callable[[], bool]
) -> None:
    """Choose an answer; again if it was lost in an outage, after which the question is shown again.

    Then the same question is still open, under the same key.
    """

    async def is_known() -> bool:
        return is_answered() or question in terminal.text

    while not is_answered():
        await terminal.choose(number)
        await eventually(is_known, what="an answer, or the question again")


async def kill_gateway_and_worker(stack: Stack) -> None:
    for part in PARTS:
        await stack.kill(part)
    await stack.request("GET", "/me")  # waits for the gateway


async def count_executions(stack: Stack, task: str) -> int:
    total: int = (await stack.request("GET", f"/task-executions?task_id={task}"))["total"]
    return total


@pytest.mark.long
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
