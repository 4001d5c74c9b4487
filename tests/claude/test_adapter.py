"""What goes out, what comes back, and how a call ends that does not end well."""

import asyncio
import itertools
import json
import subprocess
import sys
from typing import Any

import pytest

from claude.adapter import ClaudeModel
from claude.request_body import encode
from claude.scripted import ScriptedModelServer
from domain.errors import ModelCallError, ModelFailureKind
from domain.model.calls import ModelRequest
from tests.claude.conftest import Connect
from tests.claude.conversations import add_answer, prompt, request, scripted_request
from tests.waiting import WITHIN_SECONDS

EPHEMERAL = {"type": "ephemeral"}


async def _failure(model: ClaudeModel, asked: ModelRequest) -> ModelCallError:
    with pytest.raises(ModelCallError) as caught:
        await model.call(asked)
    return caught.value


def _sse(*events: dict[str, Any]) -> str:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def _stream(*between: dict[str, Any], stop_reason: str | None = "end_turn") -> str:
    """A whole stream around these events, for what no well-behaved server sends."""
    return _sse(
        {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}},
        *between,
        {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {}},
        {"type": "message_stop"},
    )


def _block(block: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
    ]


def _message_events(text: str) -> list[dict[str, Any]]:
    """The events of a whole message."""
    return [
        {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}},
        *_block({"type": "text", "text": ""}, {"type": "text_delta", "text": text}),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        {"type": "message_stop"},
    ]


# --- what goes out


async def test_the_request_is_sent_as_it_is_encoded(
    model: ClaudeModel, scripted: ScriptedModelServer
) -> None:
    asked = request(
        prompt([{"text": "ok"}]),
        system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        tools=[
            {"name": "b", "input_schema": {"type": "object"}},
            {"name": "a", "description": "ü"},
        ],
        options={"thinking": {"type": "adaptive"}, "temperature": 0.5},
    )
    await model.call(asked)
    sent = scripted.requests[-1]
    assert sent == encode(asked)
    assert json.loads(sent) == {
        "model": "claude-opus-5-5",
        "max_tokens": 4096,
        "stream": True,
        "thinking": {"type": "adaptive"},
        "temperature": 0.5,
        "cache_control": EPHEMERAL,
        "tools": [asked.prefix.tools[0], {**asked.prefix.tools[1], "cache_control": EPHEMERAL}],
        "system": [asked.prefix.system[0], {**asked.prefix.system[1], "cache_control": EPHEMERAL}],
        "messages": list(asked.messages),
    }


async def test_a_repeated_call_is_byte_identical(
    model: ClaudeModel, scripted: ScriptedModelServer
) -> None:
    asked = scripted_request(
        {"thinking": "z", "tool_use": {"name": "t", "input": {"z": 1, "a": 2}}}
    )
    follow_up = add_answer(asked, await model.call(asked))
    await model.call(follow_up)
    stored = ModelRequest(follow_up.prefix, json.loads(json.dumps(follow_up.messages)))
    await model.call(stored)
    first, second = scripted.requests[-2:]
    assert first == second
    assert b'"input":{"z":1,"a":2}' in first


async def test_a_conversation_grows_at_its_end_only(
    model: ClaudeModel, scripted: ScriptedModelServer
) -> None:
    asked = scripted_request({"tool_use": {"name": "t"}, "repeat": 3}, {"text": "done"})
    for _ in range(3):
        asked = add_answer(asked, await model.call(asked))
    response = await model.call(asked)
    bodies = scripted.requests[-4:]
    for before, after in itertools.pairwise(bodies):
        assert after.startswith(before.removesuffix(b"]}"))
    assert response.usage.cache_read_tokens > response.usage.cache_write_tokens > 0


async def test_betas_are_a_header_and_reach_the_beta_endpoint(connect: Connect) -> None:
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        body = _stream().encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    model = connect(base_url=f"http://127.0.0.1:{port}")  # without a key
    await model.call(scripted_request(betas=["one-2026-01-01", "two-2026-01-01"]))
    server.close()
    await server.wait_closed()
    head = received[0].decode().lower()
    assert head.startswith("post /v1/messages?beta=true http/1.1\r\n")
    assert "anthropic-beta: one-2026-01-01,two-2026-01-01\r\n" in head
    assert "content-type: application/json\r\n" in head
    assert "authorization: bearer not-needed\r\n" in head


async def test_nul_goes_out_and_comes_back_and_half_a_surrogate_pair_is_replaced(
    model: ClaudeModel,
) -> None:
    tool_input = {"x": "a\ud800\0b", "\udfff": ["\ud83d\ude00"]}
    asked = scripted_request({"tool_use": {"name": "t", "input": tool_input}}, {"text": "y"})
    response = await model.call(asked)
    assert response.content[0]["input"] == {"x": "a\ufffd\0b", "\ufffd": ["\U0001f600"]}
    assert (await model.call(add_answer(asked, response))).stop_reason == "end_turn"


async def test_a_conversation_recorded_with_half_a_pair_can_be_continued(
    model: ClaudeModel, scripted: ScriptedModelServer
) -> None:
    asked = scripted_request({"text": "x"})
    recorded = {"role": "assistant", "content": [{"type": "text", "text": "a\ud800"}]}
    await model.call(request(*asked.messages, recorded, prompt([{"text": "y"}])))
    assert "a\ufffd".encode() in scripted.requests[-1]


# --- what comes back


async def test_text_comes_as_it_streams(model: ClaudeModel) -> None:
    pieces: list[str] = []
    asked = scripted_request({"thinking": "silent", "text": "word " * 60, "chunk_delay_ms": 1})
    response = await model.call(asked, on_text=pieces.append)
    assert "".join(pieces) == "word " * 60
    assert len(pieces) > 1
    assert response.first_token_ms is not None
    assert response.request_id is not None
    assert response.rate_limits["requests-remaining"] == "3999"


@pytest.mark.parametrize(
    "raw",
    [
        '{"a": ',
        "[1, 2]",
        '"x"',
        '{"a": NaN}',
        '{"a": 1e999}',
        "[" * 9999,
        '{"a":' * 300 + "1" + "}" * 300,
    ],
)
async def test_malformed_tool_input_survives_and_can_be_sent_back(
    raw: str, model: ClaudeModel
) -> None:
    asked = scripted_request({"tool_use": {"name": "t", "raw_input": raw}}, {"text": "sorry"})
    response = await model.call(asked)
    (block,) = response.content
    assert block["input"] == {}
    assert response.malformed_inputs == {block["id"]: raw}
    assert (await model.call(add_answer(asked, response))).stop_reason == "end_turn"


async def test_unknown_blocks_deltas_and_events_survive(model: ClaudeModel) -> None:
    raw = _stream(
        {"type": "brand_new_event", "n": 1},
        *_block(
            {"type": "sculpture", "z": 1, "a": "be", "parts": [1]},
            {"type": "clay_delta", "a": "gin", "parts": [2, 3], "size": {"w": 4}},
            {"type": "clay_delta", "a": "ning"},
        ),
    )
    response = await model.call(scripted_request({"raw": raw}))
    expected = {"type": "sculpture", "z": 1, "a": "beginning", "parts": [1, 2, 3], "size": {"w": 4}}
    assert json.dumps(response.content) == json.dumps([expected])


async def test_citations_are_collected(model: ClaudeModel) -> None:
    deltas = [{"type": "citations_delta", "citation": {"n": n}} for n in (1, 2)]
    text = {"type": "text_delta", "text": "It is so."}
    raw = _stream(*_block({"type": "text", "text": "", "citations": None}, *deltas, text))
    (block,) = (await model.call(scripted_request({"raw": raw}))).content
    assert block == {"type": "text", "text": "It is so.", "citations": [{"n": 1}, {"n": 2}]}


async def test_a_stream_with_broken_bytes_and_other_line_ends(model: ClaudeModel) -> None:
    text = _block({"type": "text", "text": ""}, {"type": "text_delta", "text": "caf*"})
    raw = _stream(*text).replace("\n", "\r\n").encode().replace(b"*", b"\xff")
    response = await model.call(scripted_request({"raw": b": comment\r\n\r\n" + raw}))
    assert response.content[0]["text"] == "caf\N{REPLACEMENT CHARACTER}"


# --- how a call ends that does not end well


@pytest.mark.parametrize(
    "turn",
    [
        {"text": "cut " * 99, "cut": {"after_events": 5}},
        {"text": "cut " * 99, "cut": {"after_bytes": 0}},
        {"text": "cut " * 99, "cut": {"after_bytes": 700}},
        {"raw": 'data: {"type": "ping"}\n\n'},
        {"raw": _stream().partition("event: message_delta")[0]},
    ],
)
async def test_what_is_no_whole_message_is_tried_again(
    turn: dict[str, Any], model: ClaudeModel
) -> None:
    failure = await _failure(model, scripted_request(turn))
    assert (failure.kind, failure.retryable) == (ModelFailureKind.CONNECTION, True)
    assert failure.request_id is not None


async def test_a_whole_message_needs_no_orderly_end(model: ClaudeModel) -> None:
    whole = [*_message_events("hi")]
    turn = {"raw": _sse(*whole), "cut": {"after_bytes": len(_sse(*whole[:-1]))}}
    assert (await model.call(scripted_request(turn))).content == [{"type": "text", "text": "hi"}]


async def test_a_whole_message_is_not_waited_for(connect: Connect) -> None:
    """A server that neither sends `message_stop` nor closes the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        writer.write(_sse(*_message_events("hi")[:-1]).encode())
        await writer.drain()
        await reader.read()  # until the client closes the connection
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    model = connect(base_url=f"http://127.0.0.1:{port}", api_key="any")
    async with asyncio.timeout(WITHIN_SECONDS):
        response = await model.call(scripted_request())
    assert response.content == [{"type": "text", "text": "hi"}]
    await model.close()
    server.close()
    await server.wait_closed()


async def test_after_a_cut_the_same_call_gets_its_answer(model: ClaudeModel) -> None:
    asked = scripted_request({"text": "whole", "cut": {"after_events": 3, "times": 2}})
    for _ in range(2):
        assert (await _failure(model, asked)).retryable
    assert (await model.call(asked)).content == [{"type": "text", "text": "whole"}]


async def test_an_error_of_the_listener_is_not_taken_for_one_of_the_model(
    model: ClaudeModel,
) -> None:
    def fail(_: str) -> None:
        raise OSError("the listener's own")

    with pytest.raises(OSError, match="the listener's own"):
        await model.call(scripted_request({"text": "x"}), on_text=fail)


# --- configuration


@pytest.mark.parametrize(("key", "base_url"), [("", ""), ("", "localhost:1"), ("k", "localhost:1")])
async def test_nothing_configured_says_what_to_set(
    key: str, base_url: str, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", base_url)
    model = connect()
    failure = await _failure(model, scripted_request({"text": "x"}))
    assert (failure.kind, failure.retryable) == (ModelFailureKind.NOT_CONFIGURED, False)
    assert "ANTHROPIC_API_KEY" in failure.detail
    assert "ANTHROPIC_BASE_URL" in failure.detail


@pytest.mark.parametrize(
    "given", [{"api_key": "k\n"}, {"api_key": "\N{EM DASH}"}, {"base_url": "http://a..b"}]
)
async def test_what_can_not_be_sent_fails_the_call(given: dict[str, str], connect: Connect) -> None:
    """A key with the line end of its file, for example."""
    model = connect(**{"base_url": "http://127.0.0.1:1", "api_key": "any", **given})
    failure = await _failure(model, scripted_request({"text": "x"}))
    assert failure.kind is ModelFailureKind.CONNECTION
    assert given.get("api_key", "no key") not in failure.detail


async def test_the_sdks_own_variables_are_read(
    monkeypatch: pytest.MonkeyPatch, scripted: ScriptedModelServer, connect: Connect
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", scripted.base_url)
    model = connect()
    assert (await model.call(scripted_request({"text": "x"}))).stop_reason == "end_turn"


def test_the_sdk_is_not_loaded_before_the_first_call() -> None:
    code = (
        "import sys; from claude.adapter import ClaudeModel; ClaudeModel.create(); import worker; "
        "sys.exit('anthropic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
