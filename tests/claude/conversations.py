"""Requests that carry scripts, and answers to what the model asked for."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from domain.model.calls import ModelRequest, ModelResponse, Prefix, WireMessage

_unique = itertools.count()


def prompt(turns: Sequence[Mapping[str, Any]], *, fence: str = "```") -> WireMessage:
    """A user's message with a script; unlike every other prompt of this process."""
    script = yaml.safe_dump(list(turns), sort_keys=False, allow_unicode=True)
    text = f"Prompt {next(_unique)}.\n{fence}script\n{script}{fence}"
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def request(*messages: WireMessage, **prefix: Any) -> ModelRequest:
    fields: dict[str, Any] = {"model": "claude-opus-5-5", "max_tokens": 4096} | prefix
    return ModelRequest(Prefix(**fields), messages)


def scripted_request(*turns: Mapping[str, Any], **prefix: Any) -> ModelRequest:
    return request(prompt(turns), **prefix)


def add_answer(before: ModelRequest, response: ModelResponse, text: str = "done") -> ModelRequest:
    """The conversation with the answer, and a result for every tool call in it."""
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": text}
        for block in response.content
        if block["type"] == "tool_use"
    ]
    messages = [*before.messages, {"role": "assistant", "content": response.content}]
    if results:
        messages.append({"role": "user", "content": results})
    return ModelRequest(before.prefix, messages)
