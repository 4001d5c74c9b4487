"""Finds the turn of the script that answers a request, and builds its message.

The turn follows from the request alone: from the number of answers since the prompt with the
script. So it does not depend on crashes and repeated calls. (If a client removes answers from the
history, the position moves back by as many.)
"""

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude.scripted import scripts
from claude.scripted.scripts import Turn
from claude.scripted.signatures import sign
from claude.scripted.usage import count
from claude.scripted.validation import blocks_of

_NO_SCRIPT = Turn(
    text="This is the scripted model: no Claude model was called. Put a ```script block into the "
    "prompt to script my answers, or set ANTHROPIC_API_KEY to use Claude."
)
_EXHAUSTED = Turn(text="The script has ended.")
_FILLER = "All work and no play makes the scripted model a dull one. "


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """A turn and its number in the script, from 1."""

    turn: Turn
    number: int


def find_turn(body: Mapping[str, Any], folder: Path | None) -> ScriptedTurn:
    """Find the turn that answers the request, in the latest prompt with a script.

    Raises:
        ScriptError: the prompt contains or names a script that can't be read.
    """
    answers = 0
    for message in reversed(body["messages"]):
        if message["role"] == "assistant":
            answers += 1
        elif (script := _find_script(message, folder)) is not None:
            return _select_turn(script, answers)
    script = _find_script({"content": body.get("system") or ""}, folder)
    return (
        ScriptedTurn(_NO_SCRIPT, answers + 1) if script is None else _select_turn(script, answers)
    )


def build_message(
    scripted: ScriptedTurn, body: Mapping[str, Any], body_bytes: int
) -> dict[str, Any]:
    """Build the message of a turn, as the API returns it without streaming."""
    content = _content(scripted, body)
    turn = scripted.turn
    message: dict[str, Any] = {
        "id": "msg_" + secrets.token_hex(12),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": turn.ends_with,
        "stop_sequence": None,
        "usage": count(body, body_bytes, content, turn.usage),
    }
    if turn.stop_details is not None:
        message["stop_details"] = dict(turn.stop_details)
    return message


def _select_turn(script: Sequence[Turn], index: int) -> ScriptedTurn:
    return ScriptedTurn(script[index] if index < len(script) else _EXHAUSTED, index + 1)


def _find_script(message: Mapping[str, Any], folder: Path | None) -> Sequence[Turn] | None:
    """The last script in the texts of a message; tool results are ignored: they may quote scripts.

    A message holds several prompts if there was no answer between them that can be sent.
    """
    texts = (b["text"] for b in reversed(blocks_of(message)) if b["type"] == "text")
    found = (scripts.find(text, folder) for text in texts)
    return next((script for script in found if script is not None), None)


def _content(scripted: ScriptedTurn, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    turn = scripted.turn
    words = {"{turn}": str(scripted.number)}
    if "{last_tool_result}" in str((turn.text, turn.thinking, turn.tool_use)):
        words["{last_tool_result}"] = _last_tool_result(body["messages"])
    content: list[dict[str, Any]] = []
    if turn.thinking is not None:
        thinking = _fill(turn.thinking, words)
        signature = sign(body, thinking)
        content.append({"type": "thinking", "thinking": thinking, "signature": signature})
    content += [dict(block) for block in turn.blocks]
    text = _fill(turn.text or "", words) + _filler(turn.size)
    if text:
        content.append({"type": "text", "text": text})
    for use in turn.tool_use:
        # Random, as in the API: two conversations with the same script must not share ids.
        block = {"type": "tool_use", "id": "toolu_" + secrets.token_hex(12), "name": use.name}
        content.append(block | {"input": _fill(use.input, words)})
    if turn.ends_with == "pause_turn":
        content.append(_server_tool_use())
    return content


def _server_tool_use() -> dict[str, Any]:
    """A server-side tool call: the API pauses only there, and continues only such a turn."""
    unique = "srvtoolu_" + secrets.token_hex(12)
    return {"type": "server_tool_use", "id": unique, "name": "web_search", "input": {"query": "x"}}


def _fill(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for word, meaning in words.items():
            value = value.replace(word, meaning)
        return value
    if isinstance(value, Mapping):
        return {key: _fill(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, words) for item in value]
    return value


def _filler(size: int) -> str:
    return (_FILLER * (size // len(_FILLER) + 1))[:size]


def _last_tool_result(messages: Sequence[Mapping[str, Any]]) -> str:
    latest_first = itertools.chain.from_iterable(
        reversed(blocks_of(message)) for message in reversed(messages) if message["role"] == "user"
    )
    result = next((block for block in latest_first if block["type"] == "tool_result"), None)
    if result is None:
        return ""
    content = result.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content)
