"""Streamable HTTP to one MCP server, over a client that the caller opens for it.

The caller's client decides which addresses may be reached and holds the credentials. Here, answers
are limited before they are read, and the reason of a failure is kept, which the SDK discards.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client

from domain.errors import PerdureError
from mcp_client.failures import find_error

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""One message of a server: an image of 10 MB in base64 fits (chosen)."""

CONNECT_SECONDS = 10.0
"""For a connection, and for one write (chosen). A read is limited by the request that waits."""

_END_SECONDS = 2.0
"""For the request that ends a session. Servers forget sessions by themselves (chosen)."""

_UNAUTHORISED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
_FIRST_ERROR = 400
_REFUSALS = frozenset(range(_FIRST_ERROR, 500)) - {404, 408, 425, 429}


class HttpServer:
    """A transport for `Connection`: enter it once."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        """`client` is for this server only, and is closed with the transport."""
        self._client = client
        self._url = url
        self._status: int | None = None
        self._session_id: str | None = None
        client.timeout = httpx2.Timeout(CONNECT_SECONDS, read=None)
        client.headers["Accept-Encoding"] = "identity"  # a compressed answer can be of any size
        client.event_hooks = {"request": [self._begin], "response": [self._note]}

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Any]:
        """Open the streams of messages."""
        async with (
            self._client,
            streamable_http_client(
                self._url,
                http_client=self._client,
                terminate_on_close=False,
                max_sse_event_size=MAX_MESSAGE_BYTES,
            ) as streams,
        ):
            yield streams

    async def end_session(self) -> None:
        """Ask the server to forget the session, if it keeps one."""
        if self._session_id is None:
            return
        headers = {MCP_SESSION_ID: self._session_id}
        with contextlib.suppress(httpx2.HTTPError, PerdureError, TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._client.delete(self._url, headers=headers)

    @property
    def is_expired(self) -> bool:
        """Whether the server has forgotten the session, so that it did not take the request."""
        return self._status == _NOT_FOUND and self._session_id is not None

    @property
    def is_refused(self) -> bool:
        """Whether the server refused the last request, so that a retry has the same result."""
        return self._status is not None and self._status in _REFUSALS

    def failure(self, error: BaseException | None) -> str | None:
        """Why the server can't be used, as a sentence, or None if that is not known."""
        found = _network_failure(error)
        if found is None and self._status is not None and self._status >= _FIRST_ERROR:
            return _describe_status(self._status)
        return found

    async def _begin(self, request: httpx2.Request) -> None:
        """Forget how an earlier request was answered."""
        if _waits_for_answer(request):
            self._status = None

    async def _note(self, response: httpx2.Response) -> None:
        """Limit the answer, and keep what its head says."""
        if _waits_for_answer(response.request):
            self._status = response.status_code
        if (session_id := response.headers.get(MCP_SESSION_ID)) is not None:
            self._session_id = session_id
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.DecodingError("compressed", request=response.request)
        if "event-stream" not in response.headers.get("content-type", ""):
            response.stream = _LimitedStream(response.stream)


class _LimitedStream(httpx2.AsyncByteStream):
    """The body of an answer that may not be longer than one message."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_MESSAGE_BYTES
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise httpx2.StreamError(
                    f"The answer has more than {MAX_MESSAGE_BYTES // 1024**2} MiB."
                )
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _waits_for_answer(request: httpx2.Request) -> bool:
    """Whether a caller waits for the answer.

    How a server answers notifications, and requests for a stream, says nothing about a call: after
    a restart it refuses to resume the stream of a call that it took before.
    """
    if request.method != "POST":
        return False
    message = json.loads(request.content)
    return isinstance(message, dict) and "method" in message and "id" in message


def _describe_status(status: int) -> str:
    if status == _UNAUTHORISED:
        return "It refuses the credentials (HTTP status 401); check its headers."
    if status == _FORBIDDEN:
        return "It does not allow the request (HTTP status 403); check its headers."
    return f"It returned HTTP status {status}."


def _network_failure(error: BaseException | None) -> str | None:
    """Describe the error of a connection."""
    if (refused := find_error(error, PerdureError)) is not None:
        return refused.detail
    found = find_error(error, (httpx2.HTTPError, httpx2.StreamError))
    if found is None:
        return None
    if isinstance(found, httpx2.ConnectError | httpx2.ConnectTimeout):
        return "It can't be reached."
    if isinstance(found, httpx2.DecodingError):
        return "It compresses its answers, although it was asked not to; turn that off."
    return f"The connection was interrupted ({type(found).__name__})."
