"""Normalises an answer once, where it enters, before anything records it.

Models, and proxies in front of them, send values that can't be stored, or that the Messages API
refuses when they are sent back. An answer was paid for, so it is never rejected for them:

- A lone surrogate becomes U+FFFD. NaN and infinite numbers become null.
- A block without a type is text if it has text; otherwise it is left out.
- The text of a text block becomes a string.
- A tool call gets a new id if its own is missing, not of the API's form, or already in the
  conversation. The result uses the new id too.
- In the name of a tool call, characters that the API does not allow become `_`.
- Tool input that is missing or null is `{}`. Input that is not a JSON object is reported as
  malformed; its block gets `{}`.
- A stop reason that is missing follows from the content.
- A token count that is not a number from 0 to `MAX_TOKENS` is left out.

Everything else stays as it was received. What is stored but can't be sent back, such as thinking
without a signature, is left out of requests (`agent/transcript.py`).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.ids import new_id
from domain.model.calls import Block, ModelRequest, StopReason, Usage
from domain.model.compaction import COMPACTION
from domain.model.json_values import make_encodable, parse_json
from domain.text import clean, replace_surrogates

MAX_TOKENS = 1_000_000_000
"""The largest credible count (chosen): a thousand times the longest context. The totals of millions
of such calls fit their columns."""

UNNAMED_TOOL = "unnamed"
"""The name of a tool call that has none. No tool has it, so the model receives an error."""

_MAX_ID_CHARACTERS = 256  # chosen: of an id that is kept; the API's have about 30
_TOOL_ID = re.compile(rf"[a-zA-Z0-9_-]{{1,{_MAX_ID_CHARACTERS}}}")
_MAX_NAME_CHARACTERS = 128  # of the API, like the characters of names and ids
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_WORD_CHARACTERS = 200  # chosen: of a stop reason or model name that is kept


@dataclass(frozen=True, slots=True)
class ReceivedBlock:
    """A block as it was received, and the JSON text of its tool input if that was streamed."""

    block: Mapping[str, Any]
    input_json: str | None = None


@dataclass(frozen=True, slots=True)
class NormalisedContent:
    """Blocks that can be stored and sent back, and the malformed tool inputs by tool call id."""

    blocks: Sequence[Block]
    malformed_inputs: Mapping[str, str]


def normalise_content(
    received: Iterable[ReceivedBlock], request: ModelRequest
) -> NormalisedContent:
    """Normalise the blocks of the answer to `request`."""
    blocks = []
    malformed = {}
    taken: set[str] | None = None
    for one in received:
        block = make_encodable(_with_type(one.block))
        if not isinstance(block.get("type"), str):
            continue
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            block = {**block, "text": _as_text(block.get("text"))}
        if block["type"] == "tool_use":
            taken = _ids_in(request) if taken is None else taken
            block = {**block, "id": _unique_id(block.get("id"), taken)}
            block["name"] = _tool_name(block.get("name"))
            taken.add(block["id"])
        if block["type"] == "tool_use" or one.input_json is not None:
            block["input"], raw = _tool_input(block.get("input"), one.input_json)
            if raw is not None:
                malformed[str(block.get("id"))] = replace_surrogates(raw)
        blocks.append(block)
    return NormalisedContent(blocks, malformed)


def _with_type(block: Mapping[str, Any]) -> dict[str, Any]:
    has_type = isinstance(block.get("type"), str)
    is_text = not has_type and isinstance(block.get("text"), str)
    return {**block, "type": "text"} if is_text else dict(block)


def _as_text(value: Any) -> str:
    return "" if value is None else json.dumps(value)


def _ids_in(request: ModelRequest) -> set[str]:
    return {
        block["id"]
        for message in request.messages
        if message["role"] == "assistant"
        for block in message["content"]
        if block.get("type") == "tool_use"
    }


def _unique_id(value: Any, taken: set[str]) -> str:
    is_usable = isinstance(value, str) and _TOOL_ID.fullmatch(value) and value not in taken
    return value if is_usable else f"toolu_{new_id().hex}"


def _tool_name(value: Any) -> str:
    name = value.strip() if isinstance(value, str) else ""
    return _NOT_IN_NAMES.sub("_", name)[:_MAX_NAME_CHARACTERS] or UNNAMED_TOOL


def _tool_input(value: Any, streamed: str | None) -> tuple[dict[str, Any], str | None]:
    """The input of a tool call, and its text if that is not a JSON object."""
    raw = streamed if streamed is not None and streamed.strip() else None
    if raw is not None:
        try:
            value = make_encodable(parse_json(raw))
        except ValueError:
            return {}, raw
    if value is None or value == "":
        return {}, None
    if isinstance(value, dict):
        return value, None
    return {}, json.dumps(value) if raw is None else raw


def normalise_stop_reason(value: Any, blocks: Sequence[Block]) -> str:
    """The reason that was received; if it is missing, the one that follows from the content."""
    has_calls = any(block["type"] == "tool_use" for block in blocks)
    return normalise_word(value, StopReason.TOOL_USE if has_calls else StopReason.END_TURN)


def normalise_word(value: Any, default: str) -> str:
    """A short text as it was received, or the default if it is missing."""
    word = clean(value).strip()[:_MAX_WORD_CHARACTERS] if isinstance(value, str) else ""
    return word or default


def normalise_details(value: Any) -> Mapping[str, Any] | None:
    """The details of a stop reason, if they are an object."""
    return make_encodable(value) if isinstance(value, Mapping) else None


def normalise_usage(reported: Mapping[str, Any]) -> tuple[Usage, bool]:
    """The usable counts, and whether they are complete enough to price the call.

    The counts of a message omit those of the summary that compaction wrote before it.
    """
    unusable = []
    iterations = reported.get("iterations")
    parts = [reported, *(iterations if isinstance(iterations, list) else ())]
    counted = [part for part in parts if part is reported or _is_compaction(part)]

    def count(name: str, within: str | None = None) -> int:
        total = 0
        for part in counted:
            counts = part if within is None else part.get(within)
            value = (counts.get(name) if isinstance(counts, Mapping) else None) or 0
            if _is_count(value):
                total += int(value)
            else:
                unusable.append(name)
        return total

    one_hour = count("ephemeral_1h_input_tokens", within="cache_creation")
    usage = Usage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
        cache_write_5m_tokens=max(count("cache_creation_input_tokens") - one_hour, 0),
        cache_write_1h_tokens=one_hour,
    )
    is_reported = all(reported.get(name) is not None for name in ("input_tokens", "output_tokens"))
    return usage, is_reported and not unusable


def _is_compaction(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == COMPACTION


def _is_count(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= MAX_TOKENS and value == int(value)
