"""The outermost layer of every request, as plain ASGI: its id, its address checked, its end seen.

Not Starlette's `BaseHTTPMiddleware`, which runs each request in a second task and breaks streams.
"""

import re
import time
from urllib.parse import unquote_to_bytes

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import metrics
from api.errors import RETRY_AFTER_SECONDS
from api.problems import problem
from domain.errors import InvalidInputError, ServiceUnavailableError
from domain.ids import new_id
from persistence.outages import is_outage

log = structlog.get_logger(__name__)

_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]


class Edge:
    """Wraps the application. Nothing that goes wrong inside passes it unreported."""

    def __init__(self, app: ASGIApp) -> None:
        """Wraps `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; only HTTP is ours."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = _request_id(scope)
        sent = _Sent(scope, send)
        started = time.perf_counter()
        try:
            await self._handle(scope, receive, sent)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            metrics.observe(method, route, sent.status, time.perf_counter() - started)

    async def _handle(self, scope: Scope, receive: Receive, sent: "_Sent") -> None:
        if not _is_text(scope):
            detail = "The address holds NUL or bytes that are no UTF-8; send text."
            answer = problem(scope, 422, InvalidInputError.code, detail)
            await answer(scope, receive, sent)
            return
        try:
            await self._app(scope, receive, sent)
        except Exception as error:  # noqa: BLE001 - the edge that reports
            await _report(error, scope, receive, sent)


async def _report(error: Exception, scope: Scope, receive: Receive, sent: "_Sent") -> None:
    """Log what nobody handled and answer, unless a part of an answer is out already."""
    about = {"path": scope["path"], "request_id": scope["request_id"]}
    if is_outage(error):
        log.warning("request.database_away", error=repr(error), **about)
        detail = "The database can't be reached; try again in a moment."
        answer = problem(
            scope,
            503,
            ServiceUnavailableError.code,
            detail,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    else:
        log.error("request.failed", exc_info=error, **about)
        detail = "Something went wrong here. The log has more, under this request_id."
        answer = problem(scope, 500, "internal_error", detail)
    if not sent.has_started:
        await answer(scope, receive, sent)


class _Sent:
    """The `send` of one request: adds the headers every response has, and notes the status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._headers = [(b"x-request-id", scope["request_id"].encode("ascii")), *_ALWAYS]
        self.status = 499
        """The client went away before an answer (nginx's number for it)."""
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return str(new_id())


def _is_text(scope: Scope) -> bool:
    """Whether path and query are UTF-8 without NUL, which is what Postgres can be asked about."""
    address: bytes = scope.get("raw_path") or b""
    address += b"?" + scope["query_string"]
    if b"%" not in address:
        return address.isascii()
    decoded = unquote_to_bytes(address)
    try:
        decoded.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in decoded
