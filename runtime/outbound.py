"""HTTP to addresses that users give: webhooks, health checks. The gateway and workers use it.

A name is resolved once, what it resolves to is checked, and the connection goes to exactly that
address, while `Host` and the certificate stay those of the name: a name that resolves differently
a moment later (DNS rebinding) leads nowhere. Redirects are not followed, proxies of the environment
not used, and no connection is kept, since two names may share an address.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import httpx2

from domain.addresses import Exemptions, literal
from domain.errors import AddressRefusedError, OutboundError

URL_LIMIT = 2048
"""Characters of an address; no service gives longer ones (chosen)."""

TIMEOUT = timedelta(seconds=15)
"""Of a whole exchange, from the name to the last byte: Standard Webhooks suggests 15 to 30 s."""

BODY_LIMIT_BYTES = 64 * 1024
"""Of an answer we want to read; what comes after it is left unread (chosen)."""

HTTP_PORTS = frozenset({80, 443})
FIRST_FREE_PORT, LAST_PORT = 1024, 65535
"""Below it only HTTP's own ports: nobody shall make us talk to a mail server or an SSH daemon."""

HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")

_LOOK_UPS = ThreadPoolExecutor(4, "look-up")
"""Threads of its own: a look-up can't be ended, and a user's name server may take its time. In the
loop's own they would keep model calls and files waiting (chosen: four, as libuv has for all)."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `is_cut`: there was more than was wanted."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as this machine knows them, best first.

    Raises:
        OutboundError: there is no such name, or nobody to ask.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.get_running_loop().run_in_executor(_LOOK_UPS, look_up)
    except (OSError, UnicodeError) as error:
        raise OutboundError(f"The name {host} can't be resolved.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_url(url: str, exemptions: Exemptions) -> httpx2.URL:
    """The address parsed, as far as it can be judged without asking for its name.

    Raises:
        AddressRefusedError: it is none we would go to; says why.
    """
    if len(url) > URL_LIMIT:
        raise AddressRefusedError(f"An address has at most {URL_LIMIT} characters.")
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise AddressRefusedError("This is no address of the web.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise AddressRefusedError("Give an address that begins with https:// or http://.")
    if parsed.userinfo:
        raise AddressRefusedError("Leave user and password out of the address.")
    port, host = 80 if parsed.port is None else parsed.port, _host(parsed)
    if not (port in HTTP_PORTS or FIRST_FREE_PORT <= port <= LAST_PORT):
        raise AddressRefusedError(f"Port {port} is none of HTTP's; take 80, 443 or above 1023.")
    address = literal(host)
    if address is not None and not exemptions.permit(host, str(address)):
        raise AddressRefusedError(_refusal(host))
    if address is None and not HOST_NAME.fullmatch(host):
        raise AddressRefusedError("The address has no host that could be a name.")
    return parsed


def _host(url: httpx2.URL) -> str:
    """As it goes over the wire: an international name in its ASCII form."""
    return url.raw_host.decode("ascii")


def _refusal(host: str) -> str:
    return f"{host} is not a public address. An operator can allow it with PERDURE_OUTBOUND_ALLOW."


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to an address that was checked, and to no other."""

    def __init__(
        self,
        exemptions: Exemptions,
        *,
        resolve: Resolve = system_resolve,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """`verify` is whom to trust besides what the machine trusts; tests bring their own."""
        self._exemptions = exemptions
        self._resolve = resolve
        self._inner = httpx2.AsyncHTTPTransport(
            verify=verify, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Try the name's permitted addresses in turn, until one takes the connection.

        Raises:
            AddressRefusedError: none of them is permitted.
            httpx2.ConnectError: none of them answers.
        """
        url = checked_url(str(request.url), self._exemptions)
        *first, last = await self._permitted(url)
        for address in first:
            try:
                return await self._send(request, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._send(request, last)

    async def _permitted(self, url: httpx2.URL) -> Sequence[str]:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._resolve(host := _host(url), port)
        permitted = [a for a in addresses if self._exemptions.permit(host, a)]
        if not permitted:
            raise AddressRefusedError(_refusal(host))
        return permitted

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
        """Close what is open."""
        await self._inner.aclose()


class Outbound:
    """A client for addresses that users give. One per process; close it at the end."""

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        resolve: Resolve = system_resolve,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """`allow` is the setting PERDURE_OUTBOUND_ALLOW."""
        self.exemptions = Exemptions(allow)
        self._client = httpx2.AsyncClient(
            transport=GuardedTransport(self.exemptions, resolve=resolve, verify=verify),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "Perdure", "Accept-Encoding": "identity"},
        )

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: timedelta = TIMEOUT,  # noqa: ASYNC109 - part of the exchange, told in its error
        limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> Answer:
        """One exchange; the answer's body up to `limit_bytes`. Any status is an answer.

        Raises:
            AddressRefusedError: the address is none we go to.
            OutboundError: nobody answered, or not in time.
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
        """As `send`, for a body that is read while it comes. The block runs within the time limit.

        Raises:
            AddressRefusedError: the address is none we go to.
            OutboundError: nobody answered, or not in time.
        """
        seconds = timeout.total_seconds()
        try:
            checked = checked_url(url, self.exemptions)
            async with (
                asyncio.timeout(seconds),
                self._client.stream(
                    method, checked, headers=headers, content=content, timeout=seconds
                ) as response,
            ):
                yield response
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise OutboundError(f"No whole answer within {seconds:g} s.") from error
        except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
            raise OutboundError(_failure(error)) from error

    async def aclose(self) -> None:
        """Close what is open."""
        await self._client.aclose()


def _failure(error: Exception) -> str:
    """What went wrong, in one sentence that holds nothing of request or answer."""
    causes = [error, error.__cause__, error.__context__]
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in str(error):
        return "The server's certificate does not hold, or it speaks no TLS."
    if isinstance(error, httpx2.ConnectError):
        return "The server can't be reached."
    return f"The connection broke ({type(error).__name__})."
