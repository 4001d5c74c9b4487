"""HTTP requests to URLs from users: webhooks, health checks. The gateway and workers use it.

A host name is resolved once, the resulting address is checked, and the connection is made to
exactly that address, while `Host` and the certificate are those of the name. So a name that
resolves differently a moment later (DNS rebinding) has no effect. Redirects are not followed,
proxies of the environment are not used, and connections are not reused, because two names may
share an address.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial

import httpx2

from domain.errors import AddressRefusedError, OutboundError
from domain.web.addresses import MAX_URL_LENGTH, Exemptions, literal
from domain.web.network import NetworkList
from runtime.network import NetworkGuard
from runtime.resolution import Resolve, system_resolve

TIMEOUT = timedelta(seconds=15)
"""Limit of an exchange, from look-up to last byte: Standard Webhooks suggests 15 to 30 s."""

BODY_LIMIT_BYTES = 64 * 1024
"""Limit of a response; the rest is not read (chosen)."""

HTTP_PORTS = frozenset({80, 443})
FIRST_FREE_PORT, LAST_PORT = 1024, 65535
"""Below it, only the ports of HTTP are allowed, so that no URL reaches a mail or SSH server."""

HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")

UNCOMPRESSED: Mapping[str, str] = {"Accept-Encoding": "identity"}
"""Asks for a body whose size is what is sent."""

FindAddresses = Callable[[httpx2.URL], Awaitable[Sequence[str]]]
"""Checks a URL and returns the addresses, best first, to which its request may be sent.

Raises `AddressRefusedError` if there is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `is_cut`: its body was longer than the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


def check_url(url: str, exemptions: Exemptions) -> httpx2.URL:
    """Parse a URL and check what can be checked without resolving its host name.

    Raises:
        AddressRefusedError: the URL is not allowed; the message says why.
    """
    if len(url) > MAX_URL_LENGTH:
        raise AddressRefusedError(f"The URL is too long; use at most {MAX_URL_LENGTH} characters.")
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise AddressRefusedError("This is not a valid URL.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise AddressRefusedError("The URL must start with https:// or http://.")
    if parsed.userinfo:
        raise AddressRefusedError("The URL must not contain a user name or a password.")
    port, host = 80 if parsed.port is None else parsed.port, _host(parsed)
    if not (port in HTTP_PORTS or FIRST_FREE_PORT <= port <= LAST_PORT):
        raise AddressRefusedError(f"Port {port} is not allowed; use 80, 443 or a port above 1023.")
    address = literal(host)
    if address is not None and not exemptions.permit(host, str(address)):
        raise AddressRefusedError(_refusal(host))
    if address is None and not HOST_NAME.fullmatch(host):
        raise AddressRefusedError("The host of the URL is not a valid host name.")
    return parsed


def _host(url: httpx2.URL) -> str:
    """Return the host as it is sent: an international name in its ASCII form."""
    return url.raw_host.decode("ascii")


def _refusal(host: str) -> str:
    return f"{host} is not a public address. An operator can allow it with PERDURE_OUTBOUND_ALLOW."


async def find_public_addresses(
    url: httpx2.URL, *, exemptions: Exemptions, resolve: Resolve
) -> Sequence[str]:
    """Implement `FindAddresses`: public addresses, and those that are exempted."""
    url = check_url(str(url), exemptions)
    addresses = await resolve(host := _host(url), port_of(url))
    permitted = [a for a in addresses if exemptions.permit(host, a)]
    if not permitted:
        raise AddressRefusedError(_refusal(host))
    return permitted


async def find_listed_addresses(
    url: httpx2.URL, *, guard: NetworkGuard, allowed: NetworkList
) -> Sequence[str]:
    """Implement `FindAddresses` for tools: what the network of the execution allows."""
    if url.scheme not in {"http", "https"} or not url.host:
        raise AddressRefusedError("The URL must start with https:// or http://.")
    return await guard.pin(_host(url), port_of(url), allowed)


def port_of(url: httpx2.URL) -> int:
    """Return the port of a URL, or that of its scheme."""
    return url.port or (443 if url.scheme == "https" else 80)


@cache
def default_verification() -> ssl.SSLContext:
    """Verify certificates with the authorities of the system.

    Reading them takes 20 ms of CPU, so all clients of a process share them.
    """
    return httpx2.create_ssl_context()


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Connects only to addresses that were checked."""

    def __init__(
        self,
        find_addresses: FindAddresses,
        *,
        verify: ssl.SSLContext | None = None,
        keeps_connections: bool = False,
    ) -> None:
        """`verify` is `default_verification()`, if not given; tests trust a certificate of theirs.

        `keeps_connections`: for a transport that is used for one host only.
        """
        self._find_addresses = find_addresses
        self._inner = httpx2.AsyncHTTPTransport(
            verify=verify or default_verification(),
            limits=httpx2.Limits(max_keepalive_connections=None if keeps_connections else 0),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Try the permitted addresses of the host in order, until one accepts the connection.

        Raises:
            AddressRefusedError: no address of the host is permitted.
            httpx2.ConnectError: no permitted address answers.
        """
        *first, last = await self._find_addresses(request.url)
        for address in first:
            try:
                return await self._send(request, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._send(request, last)

    async def _send(self, request: httpx2.Request, address: str) -> httpx2.Response:
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": _host(request.url)},
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def open_client(
    transport: httpx2.AsyncBaseTransport, headers: Mapping[str, str]
) -> httpx2.AsyncClient:
    """Return a client that sends each request exactly as it is given, to checked addresses."""
    return httpx2.AsyncClient(
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "Perdure", **headers},
    )


@asynccontextmanager
async def streaming(
    client: httpx2.AsyncClient,
    request: httpx2.Request,
    timeout: timedelta,  # noqa: ASYNC109 - as in `Outbound.send`
) -> AsyncIterator[httpx2.Response]:
    """Send a request and read the body in the block, which also has to end within `timeout`.

    Raises:
        AddressRefusedError: the address of the host is not allowed.
        OutboundError: no complete response arrived in time.
    """
    seconds = timeout.total_seconds()
    request.extensions["timeout"] = httpx2.Timeout(seconds).as_dict()
    try:
        async with asyncio.timeout(seconds):
            response = await client.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise OutboundError(f"No complete response arrived within {seconds:g} s.") from error
    except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
        raise OutboundError(_failure(error)) from error


class Outbound:
    """An HTTP client for URLs from users. One per process; close it at the end."""

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        resolve: Resolve = system_resolve,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        """`allow` is the setting PERDURE_OUTBOUND_ALLOW."""
        self.exemptions = Exemptions(allow)
        self._find = partial(find_public_addresses, exemptions=self.exemptions, resolve=resolve)
        self._verify = verify
        self._client = open_client(GuardedTransport(self._find, verify=verify), UNCOMPRESSED)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: timedelta = TIMEOUT,  # noqa: ASYNC109 - it limits the whole exchange, and the error names it
        limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> Answer:
        """Send a request and return the response, with up to `limit_bytes` of its body.

        An error status is a response like any other.

        Raises:
            AddressRefusedError: the URL or the address of its host is not allowed.
            OutboundError: no response arrived in time.
        """
        async with self.stream(
            method, url, headers=headers, content=content, timeout=timeout
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > limit_bytes:
                    break
            return Answer(
                response.status_code,
                response.headers,
                bytes(body[:limit_bytes]),
                is_cut=len(body) > limit_bytes,
            )

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: timedelta = TIMEOUT,  # noqa: ASYNC109 - as in `send`
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request and read the body in the block, which also has to end within `timeout`.

        Raises:
            AddressRefusedError: the URL or the address of its host is not allowed.
            OutboundError: no complete response arrived in time.
        """
        request = self._client.build_request(
            method, check_url(url, self.exemptions), headers=headers, content=content
        )
        async with streaming(self._client, request, timeout) as response:
            yield response

    def open_client(self, headers: Mapping[str, str]) -> httpx2.AsyncClient:
        """Return a client for one host, which keeps its connections; the caller closes it.

        Each request raises AddressRefusedError if the address is not allowed.
        """
        return open_client(
            GuardedTransport(self._find, verify=self._verify, keeps_connections=True), headers
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _failure(error: Exception) -> str:
    """Describe an error in one sentence, without content of the request or the response."""
    causes = [error, error.__cause__, error.__context__]
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in str(error):
        return "The certificate of the server is not valid, or the server does not support TLS."
    if isinstance(error, httpx2.ConnectError):
        return "The server can't be reached."
    return f"The connection was interrupted ({type(error).__name__})."
