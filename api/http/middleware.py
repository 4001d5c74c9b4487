"""The outermost layer, as plain ASGI: request ids, host checks, headers, logging of errors.

Does not use Starlette's `BaseHTTPMiddleware`, which runs requests in a second task and breaks
streams.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway import Gateway
from api.http import metrics
from api.http.errors import RETRY_AFTER_SECONDS
from api.http.host_policy import HostPolicy
from api.http.problems import problem, render_error
from api.http.request_context import LEAVE, USER
from domain.errors import InvalidInputError, ServiceUnavailableError
from domain.ids import new_id
from persistence.db.outages import is_busy, is_outage

log = structlog.get_logger(__name__)

_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Session-Id",
    "Perdure-Client",
    "Range",
    "X-Request-ID",
)
"""Request headers that pages of allowed origins may send."""

RESPONSE_HEADERS = (
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Mcp-Session-Id",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)
"""Response headers that pages of allowed origins may read."""

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

HSTS = (b"strict-transport-security", b"max-age=31536000")
"""One year, the usual value; sent only if the public URL is https."""

_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""The default policy: responses are data and load nothing."""

_UNSTORED = (b"cache-control", b"no-store")
_CHECKED = (b"cache-control", b"private, no-cache")
"""For responses with an ETag: clients may store them but must revalidate."""


class RequestMiddleware:
    """Wraps the application and reports every unhandled error."""

    def __init__(self, app: ASGIApp, host_policy: HostPolicy, *, is_https: bool) -> None:
        """Lets requests in by `host_policy`; `is_https` adds HSTS headers."""
        self._app = app
        self._host_policy = host_policy
        self._always = [*_ALWAYS, HSTS] if is_https else _ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; everything except HTTP is passed through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = _request_id(scope)
        sent = _Sent(scope, send, self._always)
        started = time.perf_counter()
        try:
            await self._handle(scope, receive, sent)
        finally:
            if leave := scope.get(LEAVE):
                leave()
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            metrics.observe(method, route, sent.status, time.perf_counter() - started)

    async def _handle(self, scope: Scope, receive: Receive, sent: "_Sent") -> None:
        if not _is_text(scope):
            detail = "The URL contains NUL or invalid UTF-8; send valid UTF-8 text."
            answer = problem(scope, 422, InvalidInputError.code, detail)
            await answer(scope, receive, sent)
            return
        if refusal := self._host_policy.refusal(scope):
            await render_error(scope, refusal)(scope, receive, sent)
            return
        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            log.info("request.client_gone", path=scope["path"], request_id=scope["request_id"])
        except Exception as error:  # noqa: BLE001 - reports every error
            await _report(error, scope, receive, sent)


_AWAY = "The database is unavailable; retry in a few seconds."
_BUSY = (
    "The database did not answer in time, or all connections of this gateway to it are in use, "
    "because there are too many requests; retry in a few seconds."
)


async def _report(error: Exception, scope: Scope, receive: Receive, sent: "_Sent") -> None:
    """Log an unhandled error and send a response, unless one was already started."""
    about = {"path": scope["path"], "request_id": scope["request_id"]}
    if is_outage(error):
        log.warning("request.database_away", error=repr(error), is_busy=is_busy(error), **about)
        detail = _BUSY if is_busy(error) else _AWAY
        answer = problem(
            scope,
            503,
            ServiceUnavailableError.code,
            detail,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    else:
        log.error("request.failed", exc_info=error, **about)
        detail = (
            "An internal error occurred. The gateway's log contains details for this request_id."
        )
        answer = problem(scope, 500, "internal_error", detail)
    if not sent.has_started:
        await answer(scope, receive, sent)


class _Sent:
    """The `send` of one request: adds the common response headers and records the status."""

    def __init__(self, scope: Scope, send: Send, always: Sequence[tuple[bytes, bytes]]) -> None:
        self._scope = scope
        self._send = send
        self._always = always
        self.status = 499
        """The client disconnected before a response (the status that nginx uses)."""
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] == HTTPStatus.TOO_MANY_REQUESTS:
                await _pause_refusal(self._scope)
            self.has_started = True
            self.status = message["status"]
            message["headers"] = self._complete_headers(message.get("headers", ()))
        await self._send(message)

    def _complete_headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = [*given, (b"x-request-id", self._scope["request_id"].encode())]
        names = {name.lower() for name, _ in headers}
        headers += [header for header in self._always if header[0] not in names]
        if b"cache-control" not in names:
            headers.append(_CHECKED if b"etag" in names else _UNSTORED)
        if b"content-security-policy" not in names:
            headers.append(_POLICY)
        if b"ratelimit-limit" not in names:
            limits: Mapping[str, str] = self._scope.get("rate_limit", {})
            headers += [(name.lower().encode(), value.encode()) for name, value in limits.items()]
        return headers


async def _pause_refusal(scope: Scope) -> None:
    """Wait before a refusal because of a limit is sent, if the user or address gets many."""
    gateway: Gateway = scope["app"].state.gateway
    host, _ = scope["client"] or ("unknown", 0)
    await gateway.refusals.pause(str(scope.get(USER, host)))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return str(new_id())


def _is_text(scope: Scope) -> bool:
    """Whether path and query are UTF-8 without NUL, which Postgres requires."""
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
