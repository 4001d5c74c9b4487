"""Reads a streamed answer: bytes become events, and events become one message.

Blocks remain the JSON objects that were received, so that blocks and deltas of types newer than
this code are kept and can be sent back.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.model_calls import Usage
from domain.model_json import parse_json

OnText = Callable[[str], None]

_WHOLE_FIELDS = frozenset({"signature"})
"""Fields of a delta that replace the earlier value, as in the SDK; others are appended."""


class MalformedStreamError(Exception):
    """The stream does not follow the Messages API."""


class EventDecoder:
    """Decodes server-sent events from chunks of bytes.

    Only `data` lines are read, because the data of each event also contains its type.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """Add a chunk; returns the events that it completes.

        Raises:
            MalformedStreamError: the data of an event is not a JSON object.
        """
        lines = (self._tail + chunk).split(b"\n")
        self._tail = lines.pop()
        events = []
        for ended in lines:
            line = ended.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif not line and self._data:
                events.append(_parse_event(b"\n".join(self._data)))
                self._data.clear()
        return events


def _parse_event(data: bytes) -> dict[str, Any]:
    try:
        # An invalid byte becomes a replacement character, so that the rest of the answer is kept.
        event = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise MalformedStreamError(f"An event is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise MalformedStreamError("An event is not a JSON object.")
    return event


@dataclass(slots=True)
class _OpenBlock:
    """An incomplete block: the fields of `content_block_start`, and the pieces received since."""

    block: dict[str, Any]
    pieces: dict[str, list[str]] = field(default_factory=dict)
    input_json: list[str] = field(default_factory=list)

    def add(self, delta: Mapping[str, Any]) -> None:
        """Apply a delta. Unknown fields: text is appended, lists are extended, others are set."""
        kind = delta["type"]
        if kind == "input_json_delta":
            self.input_json.append(delta["partial_json"])
        elif kind == "citations_delta":
            self.block["citations"] = [*(self.block.get("citations") or ()), delta["citation"]]
        else:
            for name, value in delta.items():
                if name != "type":
                    self._add_field(name, value)

    def _add_field(self, name: str, value: Any) -> None:
        if isinstance(value, str) and name not in _WHOLE_FIELDS:
            self.pieces.setdefault(name, []).append(value)
        elif isinstance(value, list):
            self.block[name] = [*(self.block.get(name) or ()), *value]
        else:
            self.block[name] = value

    def finish(self) -> tuple[dict[str, Any], str | None]:
        """The complete block, and the text of its tool input if that is not a JSON object."""
        for name, pieces in self.pieces.items():
            self.block[name] = (self.block.get(name) or "") + "".join(pieces)
        raw = "".join(self.input_json)
        if not raw:
            return self.block, None
        found = _parse_input(raw)
        self.block["input"] = {} if found is None else found
        return self.block, raw if found is None else None


class MessageBuilder:
    """Builds a message from the events of its stream."""

    def __init__(self, on_text: OnText | None = None) -> None:
        self.is_complete = False
        self.has_begun = False
        self._on_text = on_text
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _OpenBlock] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Apply an event; unknown ones and pings are ignored.

        Raises:
            MalformedStreamError: the event lacks a field that its type requires.
        """
        try:
            self._add(event)
        except (KeyError, TypeError, AttributeError) as error:
            raise MalformedStreamError(f"A {event.get('type')} event is malformed.") from error

    def _add(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "content_block_delta":
                delta = event["delta"]
                self._blocks[event["index"]].add(delta)
                if self._on_text is not None and delta["type"] == "text_delta":
                    self._on_text(delta["text"])
            case "content_block_start":
                self.has_begun = True
                self._blocks[event["index"]] = _OpenBlock(dict(event["content_block"]))
            case "message_start":
                self._message = dict(event["message"])
                self._count(self._message.get("usage") or {})
            case "message_delta":
                self._message |= event["delta"]
                self._count(event.get("usage") or {})
            case "message_stop":
                self.is_complete = all(self._message.get(name) for name in ("model", "stop_reason"))

    def _count(self, usage: Mapping[str, Any]) -> None:
        # The counts are cumulative; one that is missing or null has not changed.
        self._usage |= {name: value for name, value in usage.items() if value is not None}

    def finish(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """The blocks in order, and the malformed tool inputs by the id of their block."""
        content = []
        malformed = {}
        for index in sorted(self._blocks):
            block, raw = self._blocks[index].finish()
            content.append(block)
            if raw is not None:
                malformed[str(block.get("id"))] = raw
        return content, malformed

    @property
    def message(self) -> Mapping[str, Any]:
        """The message's fields without its content and usage."""
        return self._message

    @property
    def usage(self) -> Usage:
        """The usage that the stream has reported so far."""
        counts = self._usage
        one_hour = (counts.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
        return Usage(
            input_tokens=counts.get("input_tokens", 0),
            output_tokens=counts.get("output_tokens", 0),
            cache_read_tokens=counts.get("cache_read_input_tokens", 0),
            cache_write_5m_tokens=max(counts.get("cache_creation_input_tokens", 0) - one_hour, 0),
            cache_write_1h_tokens=one_hour,
        )


def _parse_input(raw: str) -> dict[str, Any] | None:
    """Parse a JSON object; None if it is not one, or can't be stored."""
    try:
        value = parse_json(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
