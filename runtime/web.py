"""HTTP of tools in the worker, to the hosts that the network of an execution allows."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import httpx2

from domain.network import NetworkList
from runtime.network import NetworkGuard
from runtime.outbound import (
    UNCOMPRESSED,
    GuardedTransport,
    find_listed_addresses,
    open_client,
    streaming,
)


class WebConnections:
    """Opens clients for calls of tools. One per worker."""

    def __init__(self, guard: NetworkGuard, *, verify: ssl.SSLContext | None = None) -> None:
        """`verify` is the certificate verification; tests trust a certificate of their own."""
        self._guard = guard
        self._verify = verify

    def connect(self, allowed: NetworkList) -> "WebConnection":
        """Return a client for the hosts of a list."""
        if self._verify is None:
            self._verify = httpx2.create_ssl_context()  # reads all certificates: once per worker
        find = partial(find_listed_addresses, guard=self._guard, allowed=allowed)
        return WebConnection(GuardedTransport(find, verify=self._verify))


class WebConnection:
    """Implements `tools.web.access.WebClient` for one call; it keeps no connection open."""

    def __init__(self, transport: GuardedTransport) -> None:
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
