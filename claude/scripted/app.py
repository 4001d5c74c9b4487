"""The HTTP side of the scripted server: `POST /v1/messages`.

For tests also `GET /requests`, and `POST /gates/NAME`, which opens a gate.
"""

import asyncio
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from claude.scripted.events import error_event, message_events
from claude.scripted.gates import Gates
from claude.scripted.messages import ScriptedTurn, build_message, find_turn
from claude.scripted.request_log import LoggedCall, RequestLog
from claude.scripted.scripts import ApiError, Cut, ScriptError, Turn
from claude.scripted.validation import InvalidRequestError, check

_RATE_LIMITS = {
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2030-01-01T00:00:00Z",
    "anthropic-ratelimit-input-tokens-limit": "2000000",
    "anthropic-ratelimit-input-tokens-remaining": "2000000",
    "anthropic-ratelimit-output-tokens-limit": "400000",
    "anthropic-ratelimit-output-tokens-remaining": "400000",
}


class _ClientGoneError(Exception):
    """The client closed the connection."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer. `parts` are sent one by one if there is a delay between them, else together.

    Nothing is sent before `gate` is open.
    """

    parts: Sequence[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: str | None = None
    delay_seconds: float = 0
    part_delay_seconds: float = 0
    is_cut: bool = False


def build_app(log: RequestLog, gates: Gates, folder: Path | None) -> Starlette:
    """Build the application; `folder` contains the scripts that prompts name."""

    async def requests(_: Request) -> JSONResponse:
        return JSONResponse(log.summary())

    async def open_gate(request: Request) -> Response:
        gates.open(request.path_params["name"])
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/v1/messages", _Messages(log, gates, folder), methods=["POST"]),
            Route("/requests", requests),
            Route("/gates/{name}", open_gate, methods=["POST"]),
        ]
    )


class _Messages:
    """The endpoint as a plain ASGI application, which can notice and cause disconnects."""

    def __init__(self, log: RequestLog, gates: Gates, folder: Path | None) -> None:
        self._log = log
        self._gates = gates
        self._folder = folder
        self._faults_sent: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        call = self._log.open(body)
        names = {name for name, _ in scope["headers"]}
        reply = self._reply(body, call, has_key=bool(names & {b"authorization", b"x-api-key"}))
        call.status = reply.status
        try:
            if reply.gate is not None:
                await _wait(self._gates.wait(reply.gate), receive)
            await _send(reply, receive, send)
        except _ClientGoneError:
            call.end("disconnected")
        else:
            call.end("cut" if reply.is_cut else "answered")

    def _reply(self, raw: bytes, call: LoggedCall, *, has_key: bool) -> _Reply:
        if not has_key:
            return _error_reply(401, "authentication_error", "no API key was sent")
        try:
            body = json.loads(raw)
            if not isinstance(body, dict):
                return _error_reply(400, "invalid_request_error", "the body is not an object")
            check(body)
            scripted = find_turn(body, self._folder)
        except (ValueError, RecursionError) as error:
            return _error_reply(400, "invalid_request_error", f"the body is not JSON: {error}")
        except (InvalidRequestError, ScriptError) as error:
            return _error_reply(400, "invalid_request_error", str(error))
        first = json.dumps(body["messages"][0]).encode()
        call.conversation = hashlib.sha256(first).hexdigest()
        call.turn = scripted.number
        return self._build_reply(scripted, body, call)

    def _build_reply(
        self, scripted: ScriptedTurn, body: Mapping[str, Any], call: LoggedCall
    ) -> _Reply:
        turn = scripted.turn
        error = turn.error if self._is_due(turn.error, call) else None
        cut = turn.cut if self._is_due(turn.cut, call) else None
        if error is not None and error.after_events is None:
            return _scripted_error(error, turn)
        message = build_message(scripted, body, call.size_bytes)
        if turn.raw is not None:
            parts = [turn.raw.encode() if isinstance(turn.raw, str) else turn.raw]
        elif body.get("stream"):
            parts = message_events(message, [use.raw_input for use in turn.tool_use])
        else:
            parts = [json.dumps(message).encode()]
        if error is not None:
            parts = [*parts[: error.after_events], error_event(_error_body(error))]
        kind = "text/event-stream; charset=utf-8" if body.get("stream") else "application/json"
        return _Reply(
            parts=parts if cut is None else _shorten(parts, cut),
            status=turn.status,
            headers={"content-type": kind, **_RATE_LIMITS, **turn.headers},
            gate=turn.gate,
            delay_seconds=turn.delay_ms / 1000,
            part_delay_seconds=turn.chunk_delay_ms / 1000,
            is_cut=cut is not None,
        )

    def _is_due(self, fault: ApiError | Cut | None, call: LoggedCall) -> bool:
        if fault is None or fault.times is None:
            return fault is not None
        # Faults are counted per request, so conversations with the same first prompt share its
        # count.
        key = f"{call.sha256} {type(fault).__name__}"
        self._faults_sent[key] += 1
        return self._faults_sent[key] <= fault.times


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(reply: _Reply, receive: Receive, send: Send) -> None:
    await _pause(reply.delay_seconds, receive)
    headers = {"request-id": "req_" + secrets.token_hex(12), **reply.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    parts = reply.parts if reply.part_delay_seconds else [b"".join(reply.parts)]
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await _pause(reply.part_delay_seconds, receive)
    if not reply.is_cut:
        await send({"type": "http.response.body", "body": b""})
    # For a cut: uvicorn drops the connection of an unfinished response.


async def _pause(seconds: float, receive: Receive) -> None:
    if seconds:
        await _wait(asyncio.sleep(seconds), receive)


async def _wait(event: Awaitable[None], receive: Receive) -> None:
    """Wait for the event.

    Raises:
        _ClientGoneError: the client closed the connection before.
    """
    awaited = asyncio.ensure_future(event)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({awaited, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not awaited.done():
            raise _ClientGoneError
    finally:
        awaited.cancel()
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _shorten(parts: Sequence[bytes], cut: Cut) -> list[bytes]:
    if cut.after_bytes is not None:
        return [b"".join(parts)[: cut.after_bytes]]
    return list(parts[: cut.after_events or 0])


def _error_body(error: ApiError) -> dict[str, Any]:
    body: dict[str, Any] = {"type": error.type, "message": error.message}
    return body | ({"details": {"error_code": error.code}} if error.code else {})


def _scripted_error(error: ApiError, turn: Turn | None = None) -> _Reply:
    asked = {"retry-after": error.retry_after, "retry-after-ms": error.retry_after_ms}
    return _Reply(
        parts=[json.dumps({"type": "error", "error": _error_body(error)}).encode()],
        status=error.status,
        headers={
            "content-type": "application/json",
            **{name: str(value) for name, value in asked.items() if value is not None},
        },
        gate=turn.gate if turn else None,
        delay_seconds=turn.delay_ms / 1000 if turn else 0,
    )


def _error_reply(status: int, kind: str, message: str) -> _Reply:
    return _scripted_error(ApiError(status=status, type=kind, message=message))
