"""Validates requests like the Messages API, for the mistakes that an agent loop can make.

It is stricter in one point: it refuses two user messages in a row, which the API joins, because a
loop that sends them has lost an answer or split its tool results.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from claude.scripted.signatures import find_bad_signature

Blocks = Sequence[Mapping[str, Any]]

_MAX_BREAKPOINTS = 4
"""Prompt-cache breakpoints in one request (platform.claude.com, prompt caching, 2026-11)."""


_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")

_REQUIRED_TEXT = {
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
"""Fields of a block that must be present as text; whether a signature is valid is checked later."""

_ONLY_IN = {"tool_use": "assistant", "thinking": "assistant", "tool_result": "user"}
"""The role of the messages that may have blocks of a type."""


class InvalidRequestError(Exception):
    """The request is a 400 `invalid_request_error`; the message is close to the API's."""


def parse_body(raw: bytes) -> Mapping[str, Any]:
    """Parse a request body as strictly as the API.

    Raises:
        InvalidRequestError: it is not a JSON object, or contains NaN or a lone surrogate.
    """
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
        if b"\\ud" in raw or b"\\uD" in raw:
            json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            "The request body is not valid JSON: no low surrogate in string"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequestError("The request body is not an object")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"unexpected {name}")


def check(body: Mapping[str, Any]) -> None:
    """Check a whole request.

    Raises:
        InvalidRequestError: with the path of the first problem.
    """
    for name, kind in (("model", str), ("max_tokens", int), ("messages", list)):
        if not isinstance(body.get(name), kind):
            raise InvalidRequestError(f"{name}: Field required")
    messages = body["messages"]
    if not messages:
        raise InvalidRequestError("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_message(index, message)
    _check_order(messages)
    _check_tool_results(messages)
    found = sum(1 for part in _cacheable(body, messages) if part.get("cache_control"))
    if found > _MAX_BREAKPOINTS:
        raise InvalidRequestError(
            f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {found}."
        )
    if (where := find_bad_signature(body)) is not None:
        raise InvalidRequestError(f"{where}: Invalid `signature` in `thinking` block")


def blocks_of(message: Mapping[str, Any]) -> Blocks:
    """The content as a list of blocks; a string becomes one text block."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_message(index: int, message: Any) -> None:
    if not isinstance(message, dict) or message.get("role") not in {"user", "assistant"}:
        raise InvalidRequestError(f"messages.{index}.role: Input should be 'user' or 'assistant'")
    content = message.get("content")
    if not isinstance(content, str | list) or not content:
        raise InvalidRequestError(f"messages.{index}: all messages must have non-empty content")
    for number, block in enumerate(blocks_of(message)):
        if (fault := _problem_of(block, message["role"])) is not None:
            raise InvalidRequestError(f"messages.{index}.content.{number}: {fault}")


def _problem_of(block: Any, role: str) -> str | None:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return "type: Field required"
    kind = block["type"]
    if _ONLY_IN.get(kind, role) != role:
        return f"`{kind}` blocks can only be in `{_ONLY_IN[kind]}` messages"
    for name in _REQUIRED_TEXT.get(kind, ()):
        if not isinstance(block.get(name), str):
            return f"{kind}.{name}: Field required"
    text = block.get("text")
    if kind == "text" and not (isinstance(text, str) and text.strip()):
        return "text content blocks must contain non-whitespace text"
    return _problem_of_call(block) if kind == "tool_use" else None


def _problem_of_call(block: Mapping[str, Any]) -> str | None:
    if not isinstance(block.get("input"), dict):
        return "tool_use.input: Input should be a valid dictionary"
    for name, pattern in (("id", _TOOL_ID), ("name", _TOOL_NAME)):
        value = block.get(name)
        if not isinstance(value, str):
            return f"tool_use.{name}: Field required"
        if not pattern.fullmatch(value):
            return f"tool_use.{name}: String should match pattern '^{pattern.pattern}$'"
    return None


def _check_order(messages: Sequence[Mapping[str, Any]]) -> None:
    if messages[0]["role"] != "user":
        raise InvalidRequestError("messages.0: the first message must have the role `user`")
    for index in range(1, len(messages)):
        before = messages[index - 1]
        if messages[index]["role"] == before["role"] and not _is_paused(before):
            raise InvalidRequestError(f"messages.{index}: roles must alternate")
    if messages[-1]["role"] == "assistant" and not _is_paused(messages[-1]):
        raise InvalidRequestError(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )


def _is_paused(message: Mapping[str, Any]) -> bool:
    """Whether the message ends with a server-side tool call; only such a turn can be continued."""
    return message["role"] == "assistant" and any(
        block["type"] == "server_tool_use" for block in blocks_of(message)
    )


def _check_tool_results(messages: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    waiting: list[str] = []
    for index, message in enumerate(messages):
        blocks = blocks_of(message)
        if message["role"] == "user":
            _check_answers(index, blocks, waiting)
            waiting = []
            continue
        for block in blocks:
            if block["type"] == "tool_use":
                if block["id"] in seen:
                    raise InvalidRequestError(f"messages.{index}: `tool_use` ids must be unique")
                seen.add(block["id"])
                waiting.append(block["id"])


def _check_answers(index: int, blocks: Blocks, waiting: Sequence[str]) -> None:
    ids = [block.get("tool_use_id") for block in blocks if block["type"] == "tool_result"]
    if unknown := [i for i in ids if i not in waiting]:
        raise InvalidRequestError(
            f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {unknown}. "
            "Each `tool_result` block must have a corresponding `tool_use` block in the previous "
            "message."
        )
    if missing := [i for i in waiting if i not in ids]:
        raise InvalidRequestError(
            f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks "
            f"immediately after: {missing}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message."
        )
    if len(set(ids)) != len(ids):
        raise InvalidRequestError(f"messages.{index}: each tool_use must have a single result")
    if any(block["type"] == "tool_result" for block in blocks[len(ids) :]):
        raise InvalidRequestError(f"messages.{index}: `tool_result` blocks must come first")


def _cacheable(
    body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    yield body
    yield from body.get("tools") or ()
    system = body.get("system")
    yield from system if isinstance(system, list) else ()
    for message in messages:
        yield from blocks_of(message)
