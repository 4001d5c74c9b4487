"""HTTP of tools in the worker, to the hosts that the network of an execution allows."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import httpx2

from domain.errors import AddressRefusedError, OutboundError
from domain.web.connections import Connection, Verdict
from domain.web.network import NetworkList
from runtime.network import NetworkGuard
from runtime.outbound import (
    UNCOMPRESSED,
    GuardedTransport,
    find_listed_addresses,
    open_client,
    port_of,
    streaming,
)

Record = Callable[[Connection], None]
"""Gets each connection when it ends."""

_LINE_BYTES = 12
"""Bytes of the first line of a response, without its text: `HTTP/1.1 200`."""


class WebConnections:
    """Opens clients for calls of tools. One per worker."""

    def __init__(self, guard: NetworkGuard, *, verify: ssl.SSLContext | None = None) -> None:
        """`verify` is the certificate verification; tests trust a certificate of their own."""
        self._guard = guard
        self._verify = verify

    def connect(self, allowed: NetworkList, record: Record) -> "WebConnection":
        """Return a client for the hosts of a list."""
        find = partial(find_listed_addresses, guard=self._guard, allowed=allowed)
        guarded = GuardedTransport(find, verify=self._verify)
        return WebConnection(RecordingTransport(guarded, record))


class WebConnection:
    """Implements `tools.web.access.WebClient` for one call; it keeps no connection open."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        """`transport` checks the addresses."""
        self._client = open_client(transport, UNCOMPRESSED)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: timedelta,  # noqa: ASYNC109 - it limits the whole exchange
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request and read the body in the block; redirects are not followed."""
        request = self._client.build_request(method, url, headers=headers, content=content)
        async with streaming(self._client, request, timeout) as response:
            yield response


class RecordingTransport(httpx2.AsyncBaseTransport):
    """Records each request as a connection, with the bytes of messages (without TLS)."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, record: Record) -> None:
        """`inner` sends the requests, each over a connection of its own."""
        self._inner = inner
        self._record = record

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. A refusal and a failure are recorded, too."""
        host, port = request.url.raw_host.decode("ascii"), port_of(request.url)

        def record(verdict: Verdict, reason: str) -> None:
            self._record(Connection(host, port, verdict, reason))

        try:
            response = await self._inner.handle_async_request(request)
        except AddressRefusedError as error:
            record("refused", error.detail)
            raise
        except OutboundError as error:
            record("failed", error.detail)
            raise
        except (httpx2.HTTPError, OSError) as error:
            record("failed", f"No response arrived ({type(error).__name__}).")
            raise
        except asyncio.CancelledError:
            record("failed", "No response arrived in time.")
            raise
        connection = Connection(
            host,
            port,
            "allowed",
            address=_address_of(response),
            sent_bytes=_count_sent_bytes(request),
        )
        response.stream = _CountedStream(response, connection, self._record)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


class _CountedStream(httpx2.AsyncByteStream):
    """The body of a response; records the connection when it is closed."""

    def __init__(self, response: httpx2.Response, connection: Connection, record: Record) -> None:
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("the transport is not asynchronous")
        self._inner = response.stream
        self._connection = connection
        self._record: Record | None = record
        self._received = _LINE_BYTES + _size_of(response.headers)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._received += len(chunk)
            yield chunk

    async def aclose(self) -> None:
        record, self._record = self._record, None
        if record is not None:
            record(replace(self._connection, received_bytes=self._received))
        await self._inner.aclose()


def _address_of(response: httpx2.Response) -> str | None:
    """The address that the connection was made to."""
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("server_addr") if stream is not None else None
    return str(found[0]) if found else None


def _count_sent_bytes(request: httpx2.Request) -> int:
    line = len(request.method) + len(request.url.raw_path) + len(" HTTP/1.1 ")
    return line + _size_of(request.headers) + int(request.headers.get("content-length", 0))


def _size_of(headers: httpx2.Headers) -> int:
    """Bytes of headers, with what separates them."""
    return sum(len(name) + len(value) + 4 for name, value in headers.raw) + 4
