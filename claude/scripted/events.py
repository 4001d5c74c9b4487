"""Makes the server-sent events of a message, in pieces as the API does."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PIECE_CHARACTERS = 48  # about a dozen tokens, as in the API
_MAX_PIECES = 64  # of one block: limits the events of a large text

_START_OF: Mapping[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
}
"""The initial fields of a block, in `content_block_start`; deltas complete them."""


def event(data: Mapping[str, Any]) -> bytes:
    """An event; its name is the type of its data."""
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def error_event(error: Mapping[str, Any]) -> bytes:
    """The event that ends a failed stream."""
    return event({"type": "error", "error": error})


def message_events(message: Mapping[str, Any], raw_inputs: Sequence[str | None]) -> list[bytes]:
    """All events of a message; `raw_inputs` replaces the JSON of its tool calls, one by one."""
    usage = message["usage"]
    opening = {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    found = [event({"type": "message_start", "message": dict(message) | opening})]
    found.append(event({"type": "ping"}))
    inputs = iter(raw_inputs)
    for index, block in enumerate(message["content"]):
        raw = next(inputs, None) if block.get("type") == "tool_use" else None
        found += (event(data) for data in _block_events(index, block, raw))
    delta = {key: message.get(key) for key in ("stop_reason", "stop_sequence", "stop_details")}
    counted = {key: n for key, n in usage.items() if key.endswith("_tokens")}
    found.append(event({"type": "message_delta", "delta": delta, "usage": counted}))
    found.append(event({"type": "message_stop"}))
    return found


def _block_events(
    index: int, block: Mapping[str, Any], raw_input: str | None
) -> Iterator[dict[str, Any]]:
    # A scripted block may lack fields; the deltas that follow complete only those that it has.
    empty = _START_OF.get(str(block.get("type")), {})
    start = {key: empty.get(key, value) for key, value in block.items()}
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in _deltas(block, raw_input):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _deltas(block: Mapping[str, Any], raw_input: str | None) -> Iterator[dict[str, Any]]:
    match block.get("type"):
        case "text" | "thinking" as kind:
            for piece in _pieces(str(block.get(kind, ""))):
                yield {"type": f"{kind}_delta", kind: piece}
            if "signature" in block:
                yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use" | "server_tool_use":
            given = json.dumps(block["input"]) if "input" in block else ""
            # The API starts with an empty one.
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in _pieces(given if raw_input is None else raw_input):
                yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(text: str) -> Iterator[str]:
    size = max(_PIECE_CHARACTERS, -(-len(text) // _MAX_PIECES))
    return (text[i : i + size] for i in range(0, len(text), size))
