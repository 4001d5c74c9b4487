"""The scripted server: where scripts are found, which turn answers, which requests are refused."""

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from claude.adapter import ClaudeModel
from claude.scripted import ScriptedModelServer
from domain.errors import ModelCallError, ModelFailureKind
from domain.model.calls import ModelRequest, WireMessage
from tests.claude.conversations import add_answer, prompt, request, scripted_request
from tests.waiting import eventually


def _user(*blocks: str | Mapping[str, Any]) -> WireMessage:
    content = [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks]
    return {"role": "user", "content": content}


def _assistant(*blocks: Mapping[str, Any]) -> WireMessage:
    return {"role": "assistant", "content": list(blocks)}


def _use(identity: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": identity, "name": "t", "input": {}}


def _result(identity: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identity, "content": "r"}


async def _text(model: ClaudeModel, asked: ModelRequest) -> str:
    return "".join(b["text"] for b in (await model.call(asked)).content if b["type"] == "text")


# --- where scripts are found


@pytest.mark.parametrize("fence", ["```", "~~~", "``````"])
async def test_a_script_is_in_a_fenced_block(fence: str, model: ClaudeModel) -> None:
    assert await _text(model, request(prompt([{"text": "found"}], fence=fence))) == "found"


async def test_a_script_in_the_system_prompt(model: ClaudeModel) -> None:
    system = [{"type": "text", "text": "```script\n- text: from the system\n```"}]
    assert await _text(model, request(_user("Hello."), system=system)) == "from the system"


async def test_a_child_gets_the_script_inside_its_prompt(model: ClaudeModel) -> None:
    parent = """Delegate.

    ```script
    - tool_use:
        name: delegate
        input:
          prompt: |
            You are the child.
            ```script
            - text: I am the child
            ```
            Go.
    - text: I am the parent
    ```
    And then be done.
    """
    asked = request(_user(parent))
    response = await model.call(asked)
    child = response.content[0]["input"]["prompt"]
    assert child.splitlines()[-1] == "Go."
    assert await _text(model, request(_user(child))) == "I am the child"
    assert await _text(model, add_answer(asked, response)) == "I am the parent"


async def test_scripts_in_a_tools_output_are_not_obeyed(model: ClaudeModel) -> None:
    asked = scripted_request({"tool_use": {"name": "t"}}, {"text": "own"})
    quoted = "```script\n- text: theirs\n```"
    assert await _text(model, add_answer(asked, await model.call(asked), text=quoted)) == "own"


@pytest.fixture
async def folder_model(tmp_path: Path) -> AsyncIterator[ClaudeModel]:
    (tmp_path / "greet.yaml").write_text("- text: from a file\n", encoding="utf-8")
    (tmp_path / "sum").mkdir()
    matched = "when: Add up\nturns:\n- text: The sum is 5.\n"
    (tmp_path / "sum" / "answers.script.yaml").write_text(matched, encoding="utf-8")
    with ScriptedModelServer(scripts=tmp_path) as server:
        model = ClaudeModel.create(base_url=server.base_url, api_key="any")
        yield model
        await model.close()


async def test_a_prompt_names_a_script_in_the_folder(folder_model: ClaudeModel) -> None:
    assert await _text(folder_model, request(_user("Hi.\nscript: greet\n"))) == "from a file"
    for name in ("other", "../greet"):
        asked = request(_user(f"script: {name}"))
        if "/" in name:  # no name at all, so the prompt has no script
            assert "scripted model" in await _text(folder_model, asked)
        else:
            with pytest.raises(ModelCallError, match="no script 'other'"):
                await folder_model.call(asked)


async def test_a_prompt_matches_a_script_in_the_folder(folder_model: ClaudeModel) -> None:
    assert await _text(folder_model, request(_user("Add up 2 and 3."))) == "The sum is 5."
    named = request(_user("Add up 2 and 3.\nscript: greet"))
    assert await _text(folder_model, named) == "from a file"


async def test_without_a_script_the_server_says_what_it_is(model: ClaudeModel) -> None:
    assert "no Claude model was called" in await _text(model, request(_user("Hello.")))


@pytest.mark.parametrize("script", ["- txt: typo", "text: no list", "- {", "- text: [1]"])
async def test_a_script_that_does_not_parse_is_a_bad_request(
    script: str, model: ClaudeModel
) -> None:
    with pytest.raises(ModelCallError, match="doesn't parse") as caught:
        await model.call(request(_user(f"```script\n{script}\n```")))
    assert caught.value.kind is ModelFailureKind.REQUEST_INVALID


# --- what position follows


async def test_the_position_follows_from_the_messages_alone(model: ClaudeModel) -> None:
    asked = scripted_request(
        {"text": "turn {turn}", "tool_use": {"name": "t", "input": {"n": "{turn}"}}, "repeat": 2},
        {"text": "last, after {last_tool_result}"},
    )
    first = await model.call(asked)
    again = await model.call(asked)
    assert first.content[0] == again.content[0] == {"type": "text", "text": "turn 1"}
    second = await model.call(add_answer(asked, first))
    assert second.content[1]["input"] == {"n": "2"}
    third = add_answer(add_answer(asked, first), second, text="r2")
    assert await _text(model, third) == "last, after r2"
    with ScriptedModelServer() as other:
        elsewhere = ClaudeModel.create(base_url=other.base_url, api_key="any")
        assert await _text(elsewhere, third) == "last, after r2"
        await elsewhere.close()


async def test_a_later_prompt_brings_a_script_of_its_own(model: ClaudeModel) -> None:
    first = scripted_request({"text": "one"})
    done = add_answer(first, await model.call(first))
    follow_up = request(*done.messages, prompt([{"text": "two, turn {turn}"}]))
    assert await _text(model, follow_up) == "two, turn 1"
    plain = request(*done.messages, _user("And now?"))
    assert await _text(model, plain) == "The script has ended."


async def test_a_paused_turn_is_sent_back_to_be_continued(model: ClaudeModel) -> None:
    asked = scripted_request({"text": "a", "stop_reason": "pause_turn"}, {"text": "b"})
    paused = await model.call(asked)
    assert paused.stop_reason == "pause_turn"
    assert await _text(model, add_answer(asked, paused)) == "b"


async def test_a_fault_may_happen_some_times_only(model: ClaudeModel) -> None:
    asked = scripted_request({"text": "at last", "error": {"status": 529, "times": 2}})
    for _ in range(2):
        with pytest.raises(ModelCallError):
            await model.call(asked)
    assert await _text(model, asked) == "at last"


async def test_a_turn_with_a_gate_is_answered_when_the_gate_is_open(
    scripted: ScriptedModelServer, model: ClaudeModel
) -> None:
    asked = scripted_request({"text": "let through", "gate": "the one"})
    answer = asyncio.create_task(_text(model, asked))

    async def arrived() -> bool:
        return [call.outcome for call in scripted.calls][-1:] == ["open"]

    await eventually(arrived)
    scripted.open_gate("another")
    done, _ = await asyncio.wait([answer], timeout=0.05)
    assert not done
    scripted.open_gate("the one")
    assert await answer == "let through"
    assert await _text(model, asked) == "let through"  # an open gate stays open


async def test_a_client_that_leaves_while_a_gate_is_closed_leaves_it_to_others(
    scripted: ScriptedModelServer, model: ClaudeModel
) -> None:
    asked = scripted_request({"text": "for who stays", "gate": "two clients"})
    leaving, staying = (asyncio.create_task(_text(model, asked)) for _ in range(2))

    async def outcomes(*wanted: str) -> bool:
        return sorted(call.outcome for call in scripted.calls[-2:]) == sorted(wanted)

    await eventually(lambda: outcomes("open", "open"))
    leaving.cancel()
    await eventually(lambda: outcomes("disconnected", "open"))
    scripted.open_gate("two clients")
    assert await staying == "for who stays"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "x"},
        {"type": "thinking"},
        {"type": "text"},
        {"type": "tool_use"},
        {"type": "tool_use", "id": 5, "name": None, "input": "x"},
        {"text": "x"},
        {},
    ],
)
async def test_blocks_that_lack_fields_are_sent_as_they_are(
    block: dict[str, Any], scripted: ScriptedModelServer
) -> None:
    asked = {"model": "m", "max_tokens": 9, "messages": [prompt([{"blocks": [block]}])]}
    async with httpx2.AsyncClient(base_url=scripted.base_url) as client:
        for stream in (True, False):
            body = json.dumps({**asked, "stream": stream}).encode()
            answer = await client.post("/v1/messages", content=body, headers={"x-api-key": "k"})
            assert answer.status_code == 200


# --- usage


async def test_usage_is_the_same_for_the_same_request(model: ClaudeModel) -> None:
    asked = scripted_request({"text": "x" * 400, "tool_use": {"name": "t"}}, {"text": "y"})
    first = await model.call(asked)
    assert (await model.call(asked)).usage == first.usage
    assert first.usage.cache_read_tokens == 0
    assert first.usage.output_tokens >= 100
    second = await model.call(add_answer(asked, first))
    assert second.usage.cache_read_tokens > 0
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


async def test_output_never_exceeds_max_tokens(model: ClaudeModel) -> None:
    asked = scripted_request({"size": 10_000}, max_tokens=50)
    assert (await model.call(asked)).usage.output_tokens == 50


# --- what it refuses

HELLO = _user("Hello.")
REFUSED: dict[str, tuple[list[WireMessage], str]] = {
    "nothing": ([], "at least one"),
    "assistant first": ([_assistant({"type": "text", "text": "x"}), HELLO], "first message"),
    "two users": ([HELLO, HELLO], "alternate"),
    "prefill": ([HELLO, _assistant({"type": "text", "text": "x"})], "prefill"),
    "empty content": ([{"role": "user", "content": []}], "non-empty"),
    "empty text": ([_user("  ")], "non-whitespace"),
    "no result": ([HELLO, _assistant(_use("a")), HELLO], "without `tool_result`"),
    "one of two": ([HELLO, _assistant(_use("a"), _use("b")), _user(_result("a"))], "without"),
    "unknown result": ([_user(_result("a"))], "unexpected `tool_use_id`"),
    "late result": ([HELLO, _assistant(_use("a")), _user("x", _result("a"))], "come first"),
    "double result": ([HELLO, _assistant(_use("a")), _user(_result("a"), _result("a"))], "single"),
    "same id again": (
        [HELLO, _assistant(_use("a")), _user(_result("a")), _assistant(_use("a")), HELLO],
        "unique",
    ),
    "id with a colon": (
        [HELLO, _assistant(_use("functions.t:0")), _user(_result("functions.t:0"))],
        "tool_use.id: String should match",
    ),
    "no name": ([HELLO, _assistant({**_use("a"), "name": None})], "tool_use.name: Field"),
    "name with a dot": ([HELLO, _assistant({**_use("a"), "name": "a.b"})], "tool_use.name: String"),
    "long name": ([HELLO, _assistant({**_use("a"), "name": "a" * 129})], "tool_use.name: String"),
    "no signature": (
        [HELLO, _assistant({"type": "thinking", "thinking": "x"}), HELLO],
        "thinking.signature: Field required",
    ),
    "empty signature": (
        [HELLO, _assistant({"type": "thinking", "thinking": "x", "signature": ""}), HELLO],
        "Invalid `signature`",
    ),
    "no data": ([HELLO, _assistant({"type": "redacted_thinking"}), HELLO], "data: Field required"),
    "result of the model": ([HELLO, _assistant(_result("a")), HELLO], "only be in `user`"),
    "call of the user": ([_user(_use("a"))], "only be in `assistant`"),
    "input is no object": ([HELLO, _assistant({**_use("a"), "input": "x"})], "dictionary"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_request_is_refused(name: str, model: ClaudeModel) -> None:
    messages, sentence = REFUSED[name]
    with pytest.raises(ModelCallError, match=sentence) as caught:
        await model.call(request(*messages))
    assert caught.value.kind is ModelFailureKind.REQUEST_INVALID


async def test_too_many_breakpoints_are_refused(model: ClaudeModel) -> None:
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    with pytest.raises(ModelCallError, match="Found 5"):
        await model.call(request(_user(*[marked] * 4)))


@pytest.mark.parametrize("edit", ["text", "key order", "earlier message", "system"])
async def test_signed_thinking_holds_for_its_exact_history_only(
    edit: str, model: ClaudeModel
) -> None:
    asked = scripted_request(
        {"thinking": "Hm.", "tool_use": {"name": "t"}}, {"thinking": "Ah.", "text": "x"}
    )
    sound = add_answer(asked, await model.call(asked))
    assert (await model.call(sound)).stop_reason == "end_turn"
    sound = add_answer(sound, await model.call(sound))
    sound = request(*sound.messages, HELLO)
    assert (await model.call(sound)).stop_reason == "end_turn"
    messages = json.loads(json.dumps(sound.messages))
    prefix: dict[str, Any] = {}
    match edit:
        case "text":
            messages[1]["content"][0]["thinking"] = "Hm!"
        case "key order":
            messages[1]["content"][1] = dict(sorted(messages[1]["content"][1].items()))
        case "earlier message":
            messages[2]["content"][0]["content"] = "[cleared]"
        case "system":
            prefix = {"system": [{"type": "text", "text": "New."}]}
    with pytest.raises(ModelCallError, match="Invalid `signature`"):
        await model.call(request(*messages, **prefix))


async def test_what_is_no_request_is_refused(scripted: ScriptedModelServer) -> None:
    async with httpx2.AsyncClient(base_url=scripted.base_url) as client:
        no_key = await client.post("/v1/messages", json={})
        assert (no_key.status_code, no_key.json()["error"]["type"]) == (401, "authentication_error")
        for body in (
            b"{",
            b"[]",
            b"{}",
            b'{"model":"m","max_tokens":1,"messages":[7]}',
            b"\xff",
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\\ud800"}]}',
            b'{"model":"m","max_tokens":1,"x":NaN,"messages":[{"role":"user","content":"a"}]}',
        ):
            answer = await client.post("/v1/messages", content=body, headers={"x-api-key": "k"})
            assert answer.status_code == 400, body
            assert answer.json()["error"]["type"] == "invalid_request_error"
            assert answer.json()["type"] == "error"


# --- as a process


def test_the_server_as_a_process() -> None:
    command = [sys.executable, "-m", "claude.scripted", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["base_url"]
        body = json.dumps({"model": "m", "max_tokens": 9, "messages": [HELLO]}).encode()
        with httpx2.Client(base_url=address, headers={"x-api-key": "k"}) as client:
            for _ in range(2):
                assert client.post("/v1/messages", content=body).status_code == 200
            log = client.get("/requests").json()
            assert client.post("/gates/any").status_code == 204
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
    assert log["count"] == 2
    assert log["outcomes"] == {"answered": 2}
    assert log["requests"][0]["sha256"] == hashlib.sha256(body).hexdigest()
    assert log["requests"][0]["turn"] == 1
