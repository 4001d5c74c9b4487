"""The same answers, read by our adapter and by the SDK's own readers, must be the same message.

This holds the scripted server to what the SDK accepts, and the adapter to what the SDK makes of it.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message

from claude.adapter import ClaudeModel
from claude.request_body import encode
from claude.scripted import ScriptedModelServer
from domain.model.calls import ModelRequest, ModelResponse
from tests.claude.conversations import add_answer, scripted_request

ANSWERS: dict[str, dict[str, Any]] = {
    "text": {"text": "Grüße, 世界 👋 " * 40},
    "large text": {"size": 300_000},
    "one tool": {"text": "Look.", "tool_use": {"name": "bash", "input": {"command": "ls -la"}}},
    "tools": {
        "tool_use": [
            {"name": "read", "input": {"z": 1, "a": [1.5, None, True, {"ü": "x" * 200}]}},
            {"name": "nothing", "input": {}},
        ]
    },
    "thinking": {"thinking": "First this, then that. " * 9, "text": "So."},
    "thinking and a tool": {"thinking": "", "tool_use": {"name": "bash", "input": {"c": "ls"}}},
    "redacted": {"blocks": [{"type": "redacted_thinking", "data": "b64=="}], "text": "x"},
    "refusal": {
        "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "No."},
    },
    "max_tokens": {"text": "And then", "stop_reason": "max_tokens"},
    "pause_turn": {"text": "Searching.", "stop_reason": "pause_turn"},
    "stop_sequence": {"text": "a", "stop_reason": "stop_sequence"},
    "context exceeded": {"text": "a", "stop_reason": "model_context_window_exceeded"},
    "empty": {},
    "usage": {
        "text": "x",
        "usage": {
            "input_tokens": 7,
            "output_tokens": 11,
            "cache_read_input_tokens": 13,
            "cache_creation_input_tokens": 17,
            "cache_creation": {"ephemeral_5m_input_tokens": 12, "ephemeral_1h_input_tokens": 5},
        },
    },
}


@pytest.fixture(scope="module")
async def sdk(scripted: ScriptedModelServer) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=scripted.base_url, api_key="any", max_retries=0) as client:
        yield client


def _arguments(request: ModelRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(request))
    del body["stream"]
    return body


def _comparable(content: Any) -> list[dict[str, Any]]:
    """Blocks without what is made up anew for each answer, and what the SDK adds as null."""
    return [
        {key: value for key, value in dict(block).items() if key != "id" and value is not None}
        for block in content
    ]


def _assert_same(ours: ModelResponse, theirs: Message) -> None:
    sent = [block.to_dict() for block in theirs.content]
    assert _comparable(ours.content) == _comparable(sent)
    assert ours.stop_reason == theirs.stop_reason
    assert ours.model == theirs.model
    usage = theirs.usage
    assert ours.usage.output_tokens == usage.output_tokens
    assert ours.usage.input_tokens == usage.input_tokens
    assert ours.usage.cache_read_tokens == usage.cache_read_input_tokens
    assert ours.usage.cache_write_tokens == usage.cache_creation_input_tokens
    assert usage.cache_creation is not None
    assert ours.usage.cache_write_1h_tokens == usage.cache_creation.ephemeral_1h_input_tokens
    if theirs.stop_details is None:
        assert ours.stop_details is None
    else:
        assert ours.stop_details == theirs.stop_details.to_dict()


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_reads_the_same_as_through_the_sdk(
    name: str, model: ClaudeModel, sdk: AsyncAnthropic
) -> None:
    request = scripted_request(ANSWERS[name])
    ours = await model.call(request)
    async with sdk.messages.stream(**_arguments(request)) as stream:
        _assert_same(ours, await stream.get_final_message())
    whole = await sdk.messages.create(**_arguments(request))
    # Usage counts the bytes of the request, and `"stream":true` is some of them.
    assert _comparable(ours.content) == _comparable(block.to_dict() for block in whole.content)
    assert ours.stop_reason == whole.stop_reason


async def test_a_whole_conversation_reads_the_same(model: ClaudeModel, sdk: AsyncAnthropic) -> None:
    request = scripted_request(
        {"thinking": "Hm.", "tool_use": {"name": "bash", "input": {"n": "{turn}"}}, "repeat": 3},
        {"text": "Its output is {last_tool_result}."},
    )
    for turn in range(1, 5):
        ours = await model.call(request)
        async with sdk.messages.stream(**_arguments(request)) as stream:
            _assert_same(ours, await stream.get_final_message())
        request = add_answer(request, ours, text=f"result {turn}")
    assert ours.content == [{"type": "text", "text": "Its output is result 3."}]
