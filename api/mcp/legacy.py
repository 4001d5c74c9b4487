"""Streamable HTTP for clients that connect with a handshake (2025-11-25 and before).

One POST is one exchange: a request and its response, with notifications and requests to the client
between them as Server-Sent Events. The SDK's own transport for these revisions keeps sessions in
memory, which breaks when a gateway restarts, or it keeps none and then knows nothing of the client.

Responses and cancellations of the client come in POSTs of their own, and reach their exchange only
in the process that serves it. A response is first handed to `ApplyReply`: so it counts if it comes
to another gateway, or after the exchange has ended, and a gateway that is killed loses none.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import anyio
from mcp.server.lowlevel.server import Server
from mcp.server.runner import modern_error_data, serve_one
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.jsonrpc_dispatcher import (
    cancelled_request_id_from_params,
    progress_token_from_params,
)
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from api.http.request_context import Call, wait_for_disconnect
from api.mcp.legacy_sessions import SESSION_HEADER, make_session_id, open_connection
from domain.ids import new_id

PING_SECONDS = 15.0
"""Comments keep a stream open: proxies close a connection that is idle for a minute."""

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # prevents nginx from buffering events
]

CANCELLED = "notifications/cancelled"

_CANCELLED = ErrorData(code=INTERNAL_ERROR, message="The request was cancelled")

REPLY_KEY = "perdure/reply"
"""In `_meta` of a request to the client: what the response belongs to. It becomes a part of the id,
because a response contains only that."""

ApplyReply = Callable[[Call, str, Mapping[str, Any]], Awaitable[None]]
"""Stores the result of a request to the client with this `REPLY_KEY`."""

_Outgoing = JSONRPCRequest | JSONRPCNotification | JSONRPCResponse | JSONRPCError
_Key = tuple[UUID, str, RequestId | None]
"""A request in progress: the user, the session and the id that the sender chose. Without a session,
requests of two clients can't be distinguished; a client then cancels by closing the connection."""


class LegacyTransport:
    """Serves the exchanges of one process."""

    def __init__(self, server: Server[Any], apply_reply: ApplyReply) -> None:
        """Answers requests with the handlers of `server`."""
        self._server = server
        self._apply_reply = apply_reply
        self._running: dict[_Key, asyncio.Task[Any]] = {}
        self._asked: dict[_Key, asyncio.Future[dict[str, Any]]] = {}

    async def handle(self, call: Call, body: bytes, send: Send) -> None:
        """Answer one POST of an authenticated user."""
        request = call.request
        if not all(check_accept_headers(request)):
            await _refuse(request, 406, "Accept both application/json and text/event-stream.", send)
            return
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            await _refuse(request, 415, "Content-Type must be application/json.", send)
            return
        try:
            message = jsonrpc_message_adapter.validate_python(json.loads(body), by_name=False)
        except ValidationError:
            await _refuse(request, 400, "The body must be one JSON-RPC message.", send)
            return
        except (ValueError, RecursionError):
            await _refuse(request, 400, "The body is not valid JSON.", send, code=PARSE_ERROR)
            return
        session = request.headers.get(SESSION_HEADER, "")
        if isinstance(message, JSONRPCRequest):
            key = (call.principal.user_id, session, message.id)
            await self._exchange(request, message, key, send)
            return
        if session:
            await self._receive(call, session, message)
        await Response(status_code=202)(request.scope, request.receive, send)

    async def _receive(
        self,
        call: Call,
        session: str,
        message: JSONRPCNotification | JSONRPCResponse | JSONRPCError,
    ) -> None:
        """Take a message that needs no answer."""
        user_id = call.principal.user_id
        if isinstance(message, JSONRPCNotification):
            if message.method == CANCELLED:
                cancelled = cancelled_request_id_from_params(message.params)
                if running := self._running.get((user_id, session, cancelled)):
                    running.cancel()
            return
        if isinstance(message, JSONRPCResponse):
            reply_key = str(message.id).rpartition("/")[0]
            await self._apply_reply(call, reply_key, message.result)
        future = self._asked.get((user_id, session, message.id))
        if future is None or future.done():
            return
        if isinstance(message, JSONRPCError):
            future.set_exception(MCPError.from_error_data(message.error))
        else:
            future.set_result(message.result)

    async def _exchange(
        self, request: Request, message: JSONRPCRequest, key: _Key, send: Send
    ) -> None:
        """Answer a request. If the client disconnects, its handler is cancelled."""
        exchange = _Exchange(request, message, key, self._asked)
        serving = self._running[key] = asyncio.create_task(self._serve(exchange))
        watching = asyncio.create_task(wait_for_disconnect(request.receive))
        streaming = asyncio.create_task(_stream(exchange, send))
        try:
            await asyncio.wait({watching, streaming}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, watching, streaming):
                task.cancel()
            await asyncio.gather(serving, watching, streaming, return_exceptions=True)
            if self._running.get(key) is serving:
                del self._running[key]

    async def _serve(self, exchange: "_Exchange") -> None:
        """Run the handler and send its answer; the client expects one if it has cancelled, too."""
        message = exchange.message
        answer: JSONRPCResponse | JSONRPCError
        answer = JSONRPCError(jsonrpc="2.0", id=message.id, error=_CANCELLED)
        try:
            result = await serve_one(
                self._server,
                exchange,
                message.method,
                message.params,
                connection=open_connection(exchange.request, exchange.version),
                lifespan_state={},
            )
            answer = JSONRPCResponse(jsonrpc="2.0", id=message.id, result=result)
        except Exception as error:  # noqa: BLE001 - reports every error
            answer = JSONRPCError(jsonrpc="2.0", id=message.id, error=modern_error_data(error))
        finally:
            exchange.send(answer)


class _Exchange:
    """One request with its channel to the client (`mcp.shared.dispatcher.DispatchContext`)."""

    def __init__(
        self,
        request: Request,
        message: JSONRPCRequest,
        key: _Key,
        asked: dict[_Key, asyncio.Future[dict[str, Any]]],
    ) -> None:
        self.request = request
        self.message = message
        self.version = request.headers.get(MCP_PROTOCOL_VERSION_HEADER)
        self.cancel_requested = anyio.Event()
        self.request_id: RequestId | None = message.id
        self.message_metadata = ServerMessageMetadata(request_context=request)
        self.can_send_request = bool(key[1])
        self.transport = TransportContext(
            kind="streamable-http", can_send_request=self.can_send_request, headers=request.headers
        )
        self._token = progress_token_from_params(message.params)
        self._key = key
        self._asked = asked
        self._messages: asyncio.Queue[_Outgoing] = asyncio.Queue()

    def send(self, message: _Outgoing) -> None:
        """Send a message to the client; the answer is the last one."""
        self._messages.put_nowait(message)

    async def next_message(self) -> _Outgoing | None:
        """The next message to send; None after `PING_SECONDS` without one."""
        try:
            async with asyncio.timeout(PING_SECONDS):
                return await self._messages.get()
        except TimeoutError:
            return None

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send a request to the client and return its result."""
        if not self.can_send_request:
            raise NoBackChannelError(method)
        options = opts or {}
        body = dict(params) if params is not None else None
        reply_key = (body or {}).get("_meta", {}).pop(REPLY_KEY, "")
        request_id = options.get("request_id", f"{reply_key}/{new_id()}")
        key = (self._key[0], self._key[1], request_id)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[key] = future
        try:
            self.send(JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params=body))
            async with asyncio.timeout(options.get("timeout")):
                return await future
        finally:
            del self._asked[key]

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Send a notification to the client."""
        del opts
        body = dict(params) if params is not None else None
        self.send(JSONRPCNotification(jsonrpc="2.0", method=method, params=body))

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Report progress, if the client asked for it."""
        if self._token is None:
            return
        params = {"progressToken": self._token, "progress": progress}
        params |= {} if total is None else {"total": total}
        params |= {} if message is None else {"message": message}
        await self.notify("notifications/progress", params)


async def _stream(exchange: _Exchange, send: Send) -> None:
    """Send the messages of an exchange: as a stream, unless the answer is the first one."""
    is_open = False
    while True:
        message = await exchange.next_message()
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            break
        if not is_open:
            is_open = True
            await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        frame = b": ping\r\n\r\n" if message is None else _frame(message)
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    if is_open:
        await send({"type": "http.response.body", "body": _frame(message), "more_body": False})
    else:
        headers = _session_headers(exchange, message)
        await _answer(exchange.request, send, message, 200, headers)


def _session_headers(
    exchange: _Exchange, answer: JSONRPCResponse | JSONRPCError
) -> Mapping[str, str]:
    """A handshake begins a session."""
    if exchange.message.method != "initialize" or isinstance(answer, JSONRPCError):
        return {}
    session_id = make_session_id(exchange.message.params)
    return {SESSION_HEADER: session_id} if session_id else {}


def _frame(message: _Outgoing) -> bytes:
    content = message.model_dump_json(by_alias=True, exclude_none=True)
    return b"event: message\r\ndata: " + content.encode() + b"\r\n\r\n"


async def _answer(
    request: Request,
    send: Send,
    message: JSONRPCResponse | JSONRPCError,
    status: int,
    headers: Mapping[str, str] | None = None,
) -> None:
    content = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    content.setdefault("id", None)
    response = Response(json.dumps(content), status, dict(headers or {}), "application/json")
    await response(request.scope, request.receive, send)


async def _refuse(
    request: Request, status: int, message: str, send: Send, *, code: int = INVALID_REQUEST
) -> None:
    error = ErrorData(code=code, message=message)
    await _answer(request, send, JSONRPCError(jsonrpc="2.0", id=None, error=error), status)
