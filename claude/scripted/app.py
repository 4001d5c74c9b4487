"""The HTTP side of the scripted server: `POST /v1/messages`.

For tests also `GET /requests`, and `POST /gates/NAME`, which opens a gate.
"""

import asyncio
import secrets
from collections.abc import Awaitable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from claude.scripted.gates import Gates
from claude.scripted.replies import Replies, Reply, error_reply
from claude.scripted.request_log import RequestLog


class _ClientGoneError(Exception):
    """The client closed the connection."""


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
        self._replies = Replies(folder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        call = self._log.open(body)
        names = {name for name, _ in scope["headers"]}
        if names & {b"authorization", b"x-api-key"}:
            reply = self._replies.reply(body)
        else:
            reply = error_reply(401, "authentication_error", "no API key was sent")
        call.status, call.conversation, call.turn = reply.status, reply.conversation, reply.turn
        try:
            if reply.gate is not None:
                await _wait(self._gates.wait(reply.gate), receive)
            await _send(reply, receive, send)
        except _ClientGoneError:
            call.end("disconnected")
        else:
            call.end("cut" if reply.is_cut else "answered")


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(reply: Reply, receive: Receive, send: Send) -> None:
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
    gone = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait({awaited, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not awaited.done():
            raise _ClientGoneError
    finally:
        awaited.cancel()
        gone.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
