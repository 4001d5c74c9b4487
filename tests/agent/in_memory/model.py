"""A model that follows scripts, as the scripted server does, without HTTP."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from claude import failures
from claude.answer_stream import EventDecoder, MalformedStreamError, MessageBuilder
from claude.request_body import encode
from claude.scripted.events import error_event, message_events
from claude.scripted.gates import Gates
from claude.scripted.messages import build_message, find_turn
from claude.scripted.scripts import ApiError, Cut, ScriptError, Turn
from claude.scripted.validation import InvalidRequestError, check
from domain.model_calls import ModelRequest, ModelResponse


class InMemoryModel:
    """Answers as the request's script says. `requests` holds the bodies, oldest first."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.cancelled: list[bytes] = []
        """Requests whose caller went away before the answer."""
        self._gates = Gates()
        self._faults: Counter[tuple[bytes, str]] = Counter()

    def open_gate(self, name: str) -> None:
        """Send the answers that wait at this gate, and hold back no later ones."""
        self._gates.open(name)

    async def ready(self) -> None:
        """Nothing is loaded."""

    async def call(
        self, request: ModelRequest, *, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        raw = encode(request)
        self.requests.append(raw)
        body = json.loads(raw)
        try:
            check(body)
            scripted = find_turn(body, None)
        except (InvalidRequestError, ScriptError) as invalid:
            refusal = {"type": "invalid_request_error", "message": str(invalid)}
            raise failures.from_answer(400, {}, {"error": refusal}) from invalid
        await self._wait(raw, scripted.turn)
        error = scripted.turn.error if self._is_due(scripted.turn.error, raw) else None
        if error is not None and error.after_events is None:
            raise failures.from_answer(error.status, _headers(error), _body(error))
        message = build_message(scripted, body, len(raw))
        events = message_events(message, [use.raw_input for use in scripted.turn.tool_use])
        if error is not None:
            events = [*events[: error.after_events], error_event(_body(error)["error"])]
        if scripted.turn.cut is not None and self._is_due(scripted.turn.cut, raw):
            events = _shorten(events, scripted.turn.cut)
        return _read(events, MessageBuilder(on_text))

    async def _wait(self, raw: bytes, turn: Turn) -> None:
        try:
            if turn.gate is not None:
                await self._gates.wait(turn.gate)
            await asyncio.sleep(turn.delay_ms / 1000)
        except asyncio.CancelledError:
            self.cancelled.append(raw)
            raise

    def _is_due(self, fault: ApiError | Cut | None, raw: bytes) -> bool:
        if fault is None or fault.times is None:
            return fault is not None
        key = (raw, type(fault).__name__)
        self._faults[key] += 1
        return self._faults[key] <= fault.times


def _headers(error: ApiError) -> Mapping[str, str]:
    delays = {"retry-after": error.retry_after, "retry-after-ms": error.retry_after_ms}
    return {name: str(value) for name, value in delays.items() if value is not None}


def _body(error: ApiError) -> Mapping[str, Any]:
    details = {"details": {"error_code": error.code}} if error.code else {}
    return {"error": {"type": error.type, "message": error.message, **details}}


def _shorten(events: Sequence[bytes], cut: Cut) -> list[bytes]:
    if cut.after_bytes is not None:
        return [b"".join(events)[: cut.after_bytes]]
    return list(events[: cut.after_events or 0])


def _read(events: Sequence[bytes], builder: MessageBuilder) -> ModelResponse:
    try:
        for event in EventDecoder().feed(b"".join(events)):
            if event.get("type") == "error":
                raise failures.from_answer(200, {}, event)
            builder.add(event)
    except MalformedStreamError as error:
        raise failures.from_connection(error) from error
    if not builder.is_complete:
        ended = MalformedStreamError("The stream ended before the message did.")
        raise failures.from_connection(ended)
    content, malformed = builder.finish()
    return ModelResponse(
        content=content,
        stop_reason=builder.message["stop_reason"],
        usage=builder.usage,
        model=builder.message["model"],
        stop_details=builder.message.get("stop_details"),
        malformed_inputs=malformed,
    )
