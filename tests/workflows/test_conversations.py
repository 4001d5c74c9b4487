"""Conversations from the request to the answer of the model: memory, messages, continuation."""

import io
import json
import tarfile
from typing import Any

from domain.ids import new_id
from tests.engine.driver import UNTIL_RELEASED, script, use
from tests.workflows.system import System

EXECUTIONS = "/api/v1/task-executions"


async def post(system: System, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    response = await system.client.post(
        path, json=body, params={"wait": 60} if status == 200 else {}
    )
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


def texts_sent(system: System, marker: str) -> list[str]:
    """The texts of the last request that holds the marker, as the model got them."""
    sent = next(r for r in reversed(system.engine.scripted.requests) if marker.encode() in r)
    return [
        block["text"]
        for message in json.loads(sent)["messages"]
        for block in message["content"]
        if block["type"] == "text"
    ]


async def test_a_conversation_of_three_messages_remembers(system: System) -> None:
    made = await post(system, "/api/v1/sessions", 201, title="Three")
    path = made["_links"]["messages"]
    contents = [f"{word} {new_id()} {{{{ x }}}}" for word in ("one", "two", "three")]
    answers = [await post(system, path, content=text) for text in contents]
    assert [a["status"] for a in answers] == ["completed"] * 3
    sent = texts_sent(system, contents[2].split()[1])
    assert sent[0::2] == contents
    assert sent[1::2] == [a["result_data"]["text"] for a in answers[:2]]
    messages = (await system.client.get(path)).json()["items"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * 3
    assert answers[0]["rendered_prompt"] == contents[0]


async def test_a_running_execution_is_steered(system: System) -> None:
    prompt = script({"tool_use": use("ask_user", question="Which?")}, {"text": "done"})
    execution = await post(system, EXECUTIONS, prompt=prompt, allowed_tools=["ask_user"])
    assert execution["status"] == "waiting_for_user"
    word = f"please {new_id()}"
    same = await post(system, execution["_links"]["messages"], 202, content=word)
    assert same["id"] == execution["id"]
    request = (await system.client.get(execution["_links"]["input_requests"])).json()["items"][0]
    await post(system, request["_links"]["answer"], 200, message="this one")
    run = system.engine.run(execution["id"])
    await run.wait_for_end()
    assert texts_sent(system, word.split()[1])[-1] == word


async def test_a_message_interrupts_a_command(system: System) -> None:
    word = f"instead {new_id()}"
    prompt = script({"tool_use": use("bash", command=UNTIL_RELEASED)}, {"text": "done"})
    execution = await post(system, EXECUTIONS, 202, prompt=prompt, allowed_tools=["bash"])
    run = system.engine.run(execution["id"])
    await run.wait_for_tool_call()
    await post(system, execution["_links"]["messages"], 202, content=word, interrupt=True)
    assert (await run.wait_for_end()).status == "completed"
    [call] = await run.tool_calls()
    assert (call.status, "may have run in part" in (call.output or "")) == ("cancelled", True)
    assert texts_sent(system, word.split()[1])[-1] == word


async def test_an_ended_execution_is_answered_and_retried(system: System) -> None:
    marker = str(new_id())
    first = await post(system, EXECUTIONS, prompt=f"first {marker}")
    second = await post(system, first["_links"]["messages"], content=f"second {marker}")
    assert (second["session_id"], second["status"]) == (first["session_id"], "completed")
    sent = texts_sent(system, f"second {marker}")
    assert sent == [f"first {marker}", first["result_data"]["text"], f"second {marker}"]

    again = await post(system, f"{first['_links']['self']}/retry")
    assert (again["status"], again["trigger_type"]) == ("completed", "retry")
    assert again["session_id"] != first["session_id"]
    assert texts_sent(system, marker) == [f"first {marker}"]


async def test_work_waits_for_its_turn_in_a_conversation(system: System) -> None:
    made = await post(system, "/api/v1/sessions", 201)
    gate = system.engine.gate()
    slow = script({"text": "slow", "gate": gate.name})
    first = await post(system, made["_links"]["messages"], 202, content=slow)
    path = made["_links"]["tasks"]
    work = await post(
        system, path, 201, agent_id="planner", input="Plan it.", parent_task_id=first["id"]
    )
    assert work["status"] == "blocked"
    gate.open()
    run = system.engine.run(work["id"])
    assert (await run.wait_for_end()).status == "completed"
    assert [m.seq for m in await run.messages()] == [3, 4]


async def test_work_that_is_cancelled_lets_the_next_begin(system: System) -> None:
    """Though it has a parent, its workflow is its own, and so is its end."""
    made = await post(system, "/api/v1/sessions", 201)
    first = await post(system, made["_links"]["messages"], content="one")
    gate = system.engine.gate()  # the next execution's prompt follows this one, so it has it too
    slow = script({"text": "slow", "gate": gate.name})
    work = await post(
        system,
        made["_links"]["tasks"],
        201,
        agent_id="planner",
        input=slow,
        parent_task_id=first["id"],
    )
    assert work["status"] == "pending"
    next_one = await post(system, EXECUTIONS, 202, prompt="two", session_id=made["id"])
    assert next_one["status"] == "blocked"
    await post(system, work["_links"]["cancel"], 202)
    assert (await system.engine.run(work["id"]).wait_for_end()).status == "cancelled"
    gate.open()
    assert (await system.engine.run(next_one["id"]).wait_for_end()).status == "completed"


async def test_files_of_a_workspace_are_handed_out(system: System) -> None:
    command = "mkdir out && printf made > out/a.txt && ln -s /etc/passwd out/link"
    prompt = script({"tool_use": use("bash", command=command)}, {"text": "done"})
    execution = await post(system, EXECUTIONS, prompt=prompt, allowed_tools=["bash"])
    assert execution["status"] == "completed", execution["error_message"]
    files = execution["_links"]["files"]
    listed = (await system.client.get(f"{files}?path=out")).json()["items"]
    assert [(f["path"], f["type"]) for f in listed] == [("out/a.txt", "file"), ("out/link", "link")]
    assert (await system.client.get(f"{files}/content?path=out/a.txt")).text == "made"
    assert (await system.client.get(f"{files}/content?path=out/link")).status_code == 422
    packed = await system.client.get(f"{files}/archive")
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        content = archive.extractfile("out/a.txt")
        assert content is not None
        assert content.read() == b"made"
