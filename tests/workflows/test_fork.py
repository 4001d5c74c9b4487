"""Forks: a conversation that is shared up to a turn and then continues differently."""

import json
from typing import Any
from uuid import UUID

from claude.scripted import ScriptedModelServer
from domain.executions.states import ExecutionStatus
from tests.engine.driver import Run, script, use
from tests.workflows.system import System
from tests.workflows.test_resets import reset

BASH = ["bash"]
ECHO = {"text": "{last_tool_result}"}


def steps(number: int) -> dict[str, Any]:
    """Turns that each leave a line in a file."""
    return {"tool_use": use("bash", command="echo step >> log; wc -l < log"), "repeat": number}


def last_request(scripted: ScriptedModelServer, marker: str) -> dict[str, Any]:
    body = next(b for b in reversed(scripted.requests) if marker.encode() in b)
    found: dict[str, Any] = json.loads(body)
    return found


async def test_a_fork_continues_from_a_turn(
    system: System, scripted_model: ScriptedModelServer
) -> None:
    run = await system.engine.run_to_completion(steps(3), ECHO, allowed_tools=BASH, title="origin")
    fork = await system.fork(run, at_turn=2)
    row = await fork.wait_for_end()
    origin = await run.row()
    assert (row.status, row.total_turns) == (ExecutionStatus.COMPLETED, 2)
    assert row.prefix_sha256 == origin.prefix_sha256
    assert row.session_id != origin.session_id
    # The prompt and two turns are shared, so no row is stored twice.
    shared, own = await run.blocks(), await fork.blocks()
    assert len(own) == 3
    assert own[0][0] == "assistant"
    asked = last_request(scripted_model, row.title)["messages"]
    assert [m["role"] for m in asked[:5]] == [role for role, _ in shared[:5]]
    assert asked[0]["content"] == shared[0][1]
    # The files are those after the second turn.
    assert (await fork.text()).strip().startswith("3")
    assert (await run.workspace() / "log").read_text() == "step\n" * 3
    assert await system.session_texts(fork) == [
        "user: text",
        *["assistant: tool_use", "user: tool_result"] * 3,
        "assistant: text",
    ]


async def test_a_fork_after_the_last_turn(system: System) -> None:
    run = await system.engine.run_to_completion(steps(1), {"text": "done"}, allowed_tools=BASH)
    assert await system.refusal(run, at_turn=2) == (422, "prompt")
    fork = await system.fork(run, at_turn=2, prompt="And {{ this }}?")
    row = await fork.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    assert (row.rendered_prompt, row.missing_variables) == ("And {{ this }}?", [])
    [(role, blocks), _] = await fork.blocks()
    assert (role, blocks) == ("user", [{"type": "text", "text": "And {{ this }}?"}])


async def test_before_the_first_turn_the_prompt_is_written_anew(system: System) -> None:
    template = "Hello {{ name }}.\n```script\n- text: done\n```"
    run = await system.engine.run_to_completion(prompt_template=template, variables={"name": "Ann"})
    fork = await system.fork(run, at_turn=0, variables={"name": "Bob"})
    row = await fork.wait_for_end()
    assert (row.rendered_prompt or "").startswith("Hello Bob.")
    again = await system.fork(fork, at_turn=0)
    assert ((await again.wait_for_end()).rendered_prompt or "").startswith("Hello Bob.")
    other = await system.fork(run, at_turn=0, prompt="Just say it.\n```script\n- text: it\n```")
    await other.wait_for_end()
    assert await other.text() == "it"


async def test_invalid_forks_are_refused(system: System) -> None:
    run = await system.engine.run_to_completion(steps(1), {"text": "done"}, allowed_tools=BASH)
    assert await system.refusal(run, at_turn=9) == (422, "at_turn")
    assert await system.refusal(run, at_turn=1, variables={"a": 1}) == (422, "variables")
    assert await system.refusal(run) == (422, "at_turn")
    pending = await system.engine.start({"text": "x"}, dispatch=False)
    assert await system.refusal(pending, at_turn=0) == (409, "conflict")
    await pending.wait_for_end()


async def test_a_fork_of_a_fork_of_a_running_one(system: System) -> None:
    """If calls wait for a person there, the fork gets results that say they were not run."""
    ask = {"tool_use": use("ask_user", question="?")}
    run = await system.engine.start(
        steps(2), ask, {"text": "end"}, allowed_tools=["bash", "ask_user"]
    )
    await run.wait_for_request()
    fork = await system.fork(run, at_turn=3)
    assert (await fork.wait_for_end()).status == ExecutionStatus.COMPLETED
    [result] = await fork.results()
    assert "forked before it had a result" in result["content"]
    second = await system.fork(fork, at_turn=0)
    assert (await second.wait_for_end()).status == ExecutionStatus.COMPLETED
    early = await system.fork(run, at_turn=1)
    third = await system.fork(await pause_at_question(early), at_turn=1)
    await third.wait_for_request()
    texts = await system.session_texts(third)
    assert texts == [
        "user: text",
        "assistant: tool_use",
        "user: tool_result",
        "assistant: tool_use",
        "user: tool_result",
        "assistant: tool_use",
    ]
    for left in (run, early, third):
        await left.cancel()
        await left.wait_for_end()


async def pause_at_question(run: Run) -> Run:
    await run.wait_for_request()
    return run


async def test_a_reset_of_the_origin_does_not_change_the_fork(system: System) -> None:
    ask = {"tool_use": use("ask_user", question="?")}
    run = await system.engine.start(
        steps(2), ask, {"text": "end"}, allowed_tools=["bash", "ask_user"]
    )
    await run.wait_for_request()
    fork = await system.fork(run, at_turn=2)
    await fork.wait_for_request()
    before = await system.session_texts(fork)
    await reset(run, 0)
    await run.wait_for_request()
    assert await system.session_texts(fork) == before
    late = await system.fork(fork, at_turn=0)
    await late.wait_for_request()
    assert await system.session_texts(late) == before
    for left in (run, fork, late):
        await left.cancel()
        await left.wait_for_end()


async def test_another_model_is_not_sent_thinking_that_is_bound_to_the_first(
    system: System, scripted_model: ScriptedModelServer
) -> None:
    thinking = {**steps(1), "thinking": "Let me see."}
    run = await system.engine.run_to_completion(
        thinking, ECHO, allowed_tools=BASH, title="a thinker"
    )
    types = [b["type"] for _, blocks in await run.blocks() for b in blocks]
    assert "thinking" in types
    same = await system.fork(run, at_turn=1)
    row = await same.wait_for_end()
    assert "thinking" in list_types(last_request(scripted_model, row.title))
    other = await system.fork(run, at_turn=1, model="claude-sonnet-5-5")
    row = await other.wait_for_end()
    request = last_request(scripted_model, row.title)
    assert request["model"] == "claude-sonnet-5-5"
    assert "thinking" not in list_types(request)
    assert row.status == ExecutionStatus.COMPLETED


def list_types(request: dict[str, Any]) -> list[str]:
    return [b["type"] for m in request["messages"] for b in m["content"]]


async def test_before_the_first_turn_the_files_are_those_of_the_conversation(
    system: System,
) -> None:
    first = await system.engine.run_to_completion(steps(2), ECHO, allowed_tools=BASH)
    session_id = (await first.row()).session_id
    second = await system.engine.run_to_completion(
        steps(1), ECHO, allowed_tools=BASH, session_id=session_id
    )
    prompt = script({"tool_use": use("bash", command="cat log")}, ECHO)
    early = await system.fork(first, at_turn=0, prompt=prompt)
    await early.wait_for_end()
    assert "No such file" in await early.text()
    late = await system.fork(second, at_turn=0, prompt=prompt)
    await late.wait_for_end()
    assert (await late.text()).startswith("step\nstep\n\n")


async def test_a_fork_is_reset_to_where_it_began(system: System) -> None:
    run = await system.engine.run_to_completion(steps(2), ECHO, allowed_tools=BASH)
    fork = await system.fork(run, at_turn=1)
    await fork.wait_for_end()
    before = await system.session_texts(fork)
    await reset(fork, 0)
    assert (await fork.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert await system.session_texts(fork) == before
    assert len(await fork.messages(superseded=True)) == 2 * len(await fork.messages())


async def test_a_conversation_continues_in_a_fork(system: System) -> None:
    run = await system.engine.run_to_completion(
        {"text": "done"}, {"text": "more"}, {"text": "still more"}
    )
    fork = await system.fork(run, at_turn=1, prompt="Continue.")
    await fork.wait_for_end()
    session_id = (await fork.row()).session_id
    response = await system.client.post(
        f"/api/v1/task-executions/{fork.id}/messages", json={"content": "And on."}
    )
    following = system.engine.run(UUID(response.json()["id"]))
    await following.wait_for_end()
    assert (await following.row()).session_id == session_id
    assert [t.split(":")[0] for t in await system.session_texts(following)] == [
        *["user", "assistant"] * 3
    ]
