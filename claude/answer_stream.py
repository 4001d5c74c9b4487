"""Reads a streamed answer: bytes become events, and events become one message.

Blocks remain the JSON objects that were received, so that blocks and deltas of types newer than
this code are kept and can be sent back. What does not follow the Messages API is skipped: the
answer was paid for, so the rest of it is used. `normalisation.py` does the same for the values.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from claude.normalisation import ReceivedBlock
from domain.model.json_values import parse_json
from domain.text import replace_surrogates

OnText = Callable[[str], None]

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Limit of one line (chosen): a thousand times the longest event of the API; it bounds memory."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_WHOLE_FIELDS = frozenset({"signature"})
"""Fields of a delta that replace the earlier value, as in the SDK; others are appended."""

_BLOCK_OF_DELTA = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}
"""The type of the block that a delta belongs to, as the end of its name (`server_tool_use`)."""


class MalformedStreamError(Exception):
    """The stream does not follow the Messages API."""


class EventDecoder:
    """Decodes server-sent events from chunks of bytes.

    Data that is not a JSON object is skipped. The name of an event is used only if its data has no
    type.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._is_first_line = True
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """Add a chunk; returns the events that it completes.

        Raises:
            MalformedStreamError: a line is too long.
        """
        lines = (self._tail + chunk).splitlines(keepends=True)
        # A CR at the end may be half of a CRLF, so its line is not complete yet.
        self._tail = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(self._tail) > MAX_LINE_BYTES:
            raise MalformedStreamError("A line of the stream is too long.")
        return self._read_lines(lines)

    def finish(self) -> list[dict[str, Any]]:
        """The events that only the end of the stream completes."""
        lines, self._tail = self._tail.splitlines(), b""
        return self._read_lines([*lines, b""])

    def _read_lines(self, lines: list[bytes]) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for ended in lines:
            line = ended.rstrip(b"\r\n")
            if self._is_first_line:
                line, self._is_first_line = line.removeprefix(_BYTE_ORDER_MARK), False
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
            elif not line:
                events += self._complete_event()
        return events

    def _complete_event(self) -> Iterator[dict[str, Any]]:
        event = parse_object(b"\n".join(self._data))
        # Some servers send no blank line after an event, so each line may be one.
        found = [event] if event is not None else map(parse_object, self._data)
        named = {"type": self._name.decode("ascii", "replace")} if self._name else {}
        for one in found:
            if one is not None:
                yield named | one
        self._data.clear()
        self._name = b""


def parse_object(data: bytes) -> dict[str, Any] | None:
    """Parse a JSON object; None if it is not one."""
    try:
        # An invalid byte becomes a replacement character, so that the rest of the answer is kept.
        value = parse_json(data.decode("utf-8-sig", "replace"), non_finite_as_null=True)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@dataclass(slots=True)
class _OpenBlock:
    """An incomplete block: the fields of `content_block_start`, and the pieces received since."""

    block: dict[str, Any]
    pieces: dict[str, list[str]] = field(default_factory=dict)
    input_json: list[str] = field(default_factory=list)

    def is_of(self, kind: str) -> bool:
        """Whether its type ends with this one, or is missing."""
        found = self.block.get("type")
        return not isinstance(found, str) or found.endswith(kind)

    def add(self, delta: Mapping[str, Any]) -> None:
        """Apply a delta. Unknown fields: text is appended, lists are extended, others are set."""
        match delta.get("type"):
            case "input_json_delta":
                piece = delta.get("partial_json")
                if piece is not None:
                    self.input_json.append(piece if isinstance(piece, str) else json.dumps(piece))
            case "citations_delta":
                self._add_field("citations", [delta.get("citation")])
            case _:
                for name, value in delta.items():
                    if name != "type" and value is not None:
                        self._add_field(name, value)

    def _add_field(self, name: str, value: Any) -> None:
        before = self.block.get(name)
        if isinstance(value, str) and name not in _WHOLE_FIELDS:
            self.pieces.setdefault(name, []).append(value)
        elif isinstance(before, str) and name not in _WHOLE_FIELDS:
            self.pieces.setdefault(name, []).append(json.dumps(value))
        elif isinstance(value, list) and isinstance(before, list):
            self.block[name] = [*before, *value]
        else:
            self.block[name] = value

    def finish(self) -> ReceivedBlock:
        """The complete block."""
        for name, pieces in self.pieces.items():
            before = self.block.get(name)
            self.block[name] = (before if isinstance(before, str) else "") + "".join(pieces)
        return ReceivedBlock(self.block, "".join(self.input_json) if self.input_json else None)


class MessageBuilder:
    """Builds a message from the events of its stream."""

    def __init__(self, on_text: OnText | None = None) -> None:
        self.has_begun = False
        """Whether any event of a message was received."""
        self.has_content = False
        self.is_whole = False
        """Whether nothing of the message is missing, even if the stream ends here."""
        self.is_complete = False
        """Whether the message has ended; what follows does not count."""
        self.fields: dict[str, Any] = {}
        """The fields of the message, such as its model and stop reason."""
        self.usage: dict[str, Any] = {}
        """The token counts that were reported so far."""
        self._on_text = on_text
        self._blocks: list[_OpenBlock] = []
        self._by_index: dict[str, _OpenBlock] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Apply an event; unknown ones are ignored, and all that follow the end of the message."""
        if self.is_complete:
            return
        match event.get("type"):
            case "content_block_delta":
                self._add_delta(event.get("index"), _mapping(event.get("delta")))
            case "content_block_start":
                self._open(event.get("index"), _mapping(event.get("content_block")))
            case "message_start":
                self._update(_mapping(event.get("message")))
            case "message_delta":
                self._update(_mapping(event.get("delta")))
                self._count(event.get("usage"))
                self.is_whole = bool(self.fields.get("stop_reason"))
            case "message_stop":
                self.is_whole = self.is_complete = True
            case "content_block_stop" | "ping":
                pass
            case _:
                return
        self.has_begun = True

    def add_message(self, message: Mapping[str, Any]) -> None:
        """Apply a whole message that was sent without streaming."""
        self._update(message)
        content = message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        self._blocks = [_OpenBlock(_mapping(block)) for block in blocks]
        self.has_begun = self.has_content = self.is_whole = self.is_complete = True

    def _update(self, fields: Mapping[str, Any]) -> None:
        # A field that is null has not changed.
        self.fields |= {name: value for name, value in fields.items() if value is not None}
        self._count(fields.get("usage"))

    def _count(self, usage: Any) -> None:
        # The counts are cumulative; one that is missing or null has not changed.
        self.usage |= {n: value for n, value in _mapping(usage).items() if value is not None}

    def _open(self, index: Any, block: dict[str, Any]) -> _OpenBlock:
        opened = self._by_index[str(index)] = _OpenBlock(block)
        self._blocks.append(opened)
        self.has_content = True
        return opened

    def _add_delta(self, index: Any, delta: Mapping[str, Any]) -> None:
        kind, text = delta.get("type"), delta.get("text")
        if (block := self._find(index, str(kind))) is not None:
            block.add(delta)
        if self._on_text is not None and kind == "text_delta" and isinstance(text, str):
            self._on_text(replace_surrogates(text))

    def _find(self, index: Any, kind: str) -> _OpenBlock | None:
        """The block of a delta, even if its index is wrong or the block's start is missing."""
        wanted = _BLOCK_OF_DELTA.get(kind)
        at_index = self._by_index.get(str(index))
        candidates = [at_index] if at_index is not None else []
        candidates += reversed(self._blocks)
        fitting = (block for block in candidates if wanted is None or block.is_of(wanted))
        found = next(fitting, None)
        if found is None and wanted in ("text", "thinking"):
            return self._open(index, {"type": wanted})
        return found

    def finish(self) -> list[ReceivedBlock]:
        """The blocks in the order in which they began."""
        return [block.finish() for block in self._blocks]


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
