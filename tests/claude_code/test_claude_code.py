"""The real Claude Code hands over a task, answers its questions, and gets the result.

Each test starts the program. `make test` does it once, to see that the real client works with the
server; `tests/api/mcp` checks what the server answers in each case.
"""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cli.tokens import mint
from tests.api.mcp.conftest import live
from tests.api.mcp.work import APPROVAL, DONE, QUESTION, store_task
from tests.api.world import SECRET, World
from tests.claude_code.conversation import ScriptedConversation, call, serve_conversation, write
from tests.claude_code.program import ClaudeCode

__all__ = ["live"]

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
def claude_code(live: World, model: ScriptedConversation, tmp_path: Path) -> ClaudeCode:
    """Claude Code of alice."""
    token = mint(SECRET, user="alice", role="user", lives=timedelta(hours=1))
    return ClaudeCode(tmp_path, f"{live.url}/mcp", token, model)


async def test_a_task_completes_in_print_mode(
    live: World, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await store_task(live, QUESTION, APPROVAL, DONE)
    model.script(call("execute_task", task=task), write("It is blue."))
    result = await claude_code.print_answer("Paint it.", hook=ANSWERS)
    assert result["result"] == "It is blue."
    [read] = map(json.loads, model.results)
    assert read["result"] == "Painted."
    assert [asked["mode"] for asked in claude_code.elicitations] == ["form", "form"]


@pytest.mark.long
async def test_in_print_mode_without_a_person_the_model_gets_the_link(
    live: World, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await store_task(live, QUESTION)
    model.script(call("execute_task", task=task), write("Please open the link."))
    await claude_code.print_answer("Paint it.")
    [read] = map(json.loads, model.results)
    assert read["status"] == "waiting_for_user"
    assert "/inbox/" in read["next_step"]


@pytest.mark.long
async def test_a_task_completes_in_stream_mode(
    live: World, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await store_task(live, QUESTION, APPROVAL, DONE)
    model.script(call("execute_task", task=task), write("It is blue."))
    result, asked = await claude_code.host("Paint it.", *ANSWERS)
    assert result["result"] == "It is blue."
    [read] = map(json.loads, model.results)
    assert read["result"] == "Painted."
    assert [request["subtype"] for request in asked] == ["elicitation", "elicitation"]


@pytest.mark.long
async def test_a_task_completes_in_a_terminal_as_a_background_task(
    live: World, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await store_task(live, QUESTION, APPROVAL, DONE)
    model.script(call("execute_task", task=task), write("It was started."), write("It is blue."))
    async with claude_code.terminal(hook=ANSWERS) as terminal:
        await terminal.prompt("Paint it.")
        await model.wait_for_request(3)
    assert "started server-side task" in model.results[0]
    assert '"result":"Painted."' in model.texts
    assert len(claude_code.elicitations) == 2


@pytest.mark.long
async def test_a_longer_result_says_how_to_read_the_rest(
    live: World, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    task = await store_task(live, {"text": "It is blue. " * 20_000})
    model.script(call("execute_task", task=task), write("It is long."))
    await claude_code.print_answer("Paint it.")
    [read] = map(json.loads, model.results)
    assert "characters left out" in read["result"]
    assert "perdure://executions/{id}" in read["next_step"]


@pytest.mark.long
async def test_a_result_that_just_fits_is_shown_whole(
    live: World, claude_code: ClaudeCode, model: ScriptedConversation
) -> None:
    answer = "It is blue. " * 7_300  # 87,600 characters
    task = await store_task(live, {"text": answer})
    model.script(call("execute_task", task=task), write("It is long."))
    await claude_code.print_answer("Paint it.")
    [read] = map(json.loads, model.results)
    assert read["result"].strip() == answer.strip()
