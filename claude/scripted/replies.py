"""What the scripted model answers to each request: bytes, without a connection.

`app.py` sends the replies over HTTP; tests of the loop read them in memory.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from claude.scripted.events import error_event, message_events
from claude.scripted.messages import ScriptedTurn, build_message, find_turn
from claude.scripted.scripts import ApiError, Cut, ScriptError, Turn
from claude.scripted.validation import InvalidRequestError, check, parse_body
from domain.text import replace_surrogates

_RATE_LIMITS = {
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2030-01-01T00:00:00Z",
    "anthropic-ratelimit-input-tokens-limit": "2000000",
    "anthropic-ratelimit-input-tokens-remaining": "2000000",
    "anthropic-ratelimit-output-tokens-limit": "400000",
    "anthropic-ratelimit-output-tokens-remaining": "400000",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `parts` are sent one by one if there is a delay between them, else together.

    Nothing is sent before `gate` is open. `conversation` is the hash of the first message and
    `turn` the number of the turn in its script, if there is one.
    """

    parts: Sequence[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: str | None = None
    delay_seconds: float = 0
    part_delay_seconds: float = 0
    is_cut: bool = False
    conversation: str = ""
    turn: int = 0


class Replies:
    """Makes the replies; counts the faults that happen only a number of times."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` contains the scripts that prompts name."""
        self._folder = folder
        self._faults_sent: Counter[str] = Counter()

    def reply(self, raw: bytes) -> Reply:
        """The reply to a request body."""
        try:
            body = parse_body(raw)
            check(body)
            scripted = find_turn(body, self._folder)
        except (InvalidRequestError, ScriptError) as error:
            return error_reply(400, "invalid_request_error", str(error))
        first = json.dumps(body["messages"][0]).encode()
        return replace(
            self._build(scripted, body, raw),
            conversation=hashlib.sha256(first).hexdigest(),
            turn=scripted.number,
        )

    def _build(self, scripted: ScriptedTurn, body: Mapping[str, Any], raw: bytes) -> Reply:
        turn = scripted.turn
        error = turn.error if self._is_due(turn.error, raw) else None
        cut = turn.cut if self._is_due(turn.cut, raw) else None
        if error is not None and error.after_events is None:
            return _scripted_error(error, turn)
        message = build_message(scripted, body, len(raw))
        if turn.raw is not None:
            parts = [_encode(turn.raw)]
        elif body.get("stream"):
            parts = message_events(message, [use.raw_input for use in turn.tool_use])
        else:
            parts = [json.dumps(message).encode()]
        if error is not None:
            parts = [*parts[: error.after_events], error_event(_error_body(error))]
        kind = "text/event-stream; charset=utf-8" if body.get("stream") else "application/json"
        return Reply(
            parts=parts if cut is None else _shorten(parts, cut),
            status=turn.status,
            headers={"content-type": kind, **_RATE_LIMITS, **turn.headers},
            gate=turn.gate,
            delay_seconds=turn.delay_ms / 1000,
            part_delay_seconds=turn.chunk_delay_ms / 1000,
            is_cut=cut is not None,
        )

    def _is_due(self, fault: ApiError | Cut | None, raw: bytes) -> bool:
        if fault is None or fault.times is None:
            return fault is not None
        # Faults are counted per request, so conversations with the same first prompt share its
        # count.
        key = f"{hashlib.sha256(raw).hexdigest()} {type(fault).__name__}"
        self._faults_sent[key] += 1
        return self._faults_sent[key] <= fault.times


def _encode(raw: str | bytes) -> bytes:
    # A script in JSON has an escaped pair of surrogates for some characters; YAML keeps both.
    return raw if isinstance(raw, bytes) else replace_surrogates(raw).encode()


def _shorten(parts: Sequence[bytes], cut: Cut) -> list[bytes]:
    if cut.after_bytes is not None:
        return [b"".join(parts)[: cut.after_bytes]]
    return list(parts[: cut.after_events or 0])


def _error_body(error: ApiError) -> dict[str, Any]:
    body: dict[str, Any] = {"type": error.type, "message": error.message}
    return body | ({"details": {"error_code": error.code}} if error.code else {})


def _scripted_error(error: ApiError, turn: Turn | None = None) -> Reply:
    asked = {"retry-after": error.retry_after, "retry-after-ms": error.retry_after_ms}
    return Reply(
        parts=[json.dumps({"type": "error", "error": _error_body(error)}).encode()],
        status=error.status,
        headers={
            "content-type": "application/json",
            **{name: str(value) for name, value in asked.items() if value is not None},
        },
        gate=turn.gate if turn else None,
        delay_seconds=turn.delay_ms / 1000 if turn else 0,
    )


def error_reply(status: int, kind: str, message: str) -> Reply:
    """An error as the API sends it."""
    return _scripted_error(ApiError(status=status, type=kind, message=message))
