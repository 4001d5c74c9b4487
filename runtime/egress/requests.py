"""What programs in the sandbox ask the proxy for: HTTP CONNECT, plain HTTP, and SOCKS5.

One port serves all three: a request of SOCKS starts with its version, one of HTTP with a letter.
"""

import asyncio
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from domain.web.network import LAST_PORT

MAX_HEAD_BYTES = 64 * 1024
"""Limit of an HTTP request with its headers, as the gateway has it."""

MAX_REASON_CHARACTERS = 200
"""Limit of a reason in a status line, which programs print (chosen)."""

_SOCKS, _NO_AUTHENTICATION, _CONNECT, _RESERVED = 5, 0, 1, 0
_IPV4, _NAME, _IPV6 = 1, 3, 4
_GRANTED, _FAILED, _NOT_ALLOWED, _UNSUPPORTED = 0, 1, 2, 7
_PORT = re.compile("[0-9]{1,5}")
_END_OF_HEAD = b"\r\n\r\n"
_OF_THE_HOP = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"upgrade", b"host"}
)
"""Headers that are for the proxy, or that it sets itself (RFC 9110, section 7.6.1)."""


class BadRequestError(Exception):
    """A request that the proxy does not understand."""


class ProxyRequest(Protocol):
    """A request for a connection, and the bytes that the client has already sent on it."""

    host: str
    port: int
    first_bytes: bytes

    def grant(self) -> bytes:
        """The answer once the connection is made."""
        ...

    def refuse(self, reason: str, *, is_allowed: bool) -> bytes:
        """The answer if it is not; `is_allowed`: only the host could not be reached."""
        ...


@dataclass(slots=True)
class Tunnel:
    """HTTP CONNECT."""

    host: str
    port: int
    first_bytes: bytes = b""

    def grant(self) -> bytes:
        """The answer once the connection is made."""
        return b"HTTP/1.1 200 Connection established\r\n\r\n"

    def refuse(self, reason: str, *, is_allowed: bool) -> bytes:
        """The answer if it is not."""
        return _http_error(502 if is_allowed else 403, reason)


@dataclass(slots=True)
class Forwarded(Tunnel):
    """A plain request of HTTP, whose head is already rewritten for its server."""

    def grant(self) -> bytes:
        """Nothing: the server answers itself."""
        return b""


@dataclass(slots=True)
class SocksConnect:
    """SOCKS5 CONNECT (RFC 1928)."""

    host: str
    port: int
    first_bytes: bytes = b""

    def grant(self) -> bytes:
        """The answer once the connection is made."""
        return _socks_answer(_GRANTED)

    def refuse(self, reason: str, *, is_allowed: bool) -> bytes:
        """The answer if it is not; it has no room for the reason."""
        del reason
        return _socks_answer(_FAILED if is_allowed else _NOT_ALLOWED)


def bad_request(reason: str) -> bytes:
    """The answer to a request of HTTP that can't be read."""
    return _http_error(400, reason)


async def read_request(client: socket.socket) -> ProxyRequest | None:
    """Read the request at the start of a connection; None if the client only opened it.

    Raises:
        BadRequestError: it can't be read; the message says why.
    """
    loop = asyncio.get_running_loop()
    start = await loop.sock_recv(client, MAX_HEAD_BYTES)
    if not start:
        return None
    if start[0] == _SOCKS:
        return await _SocksReader(client, start).read()
    while _END_OF_HEAD not in start:
        if len(start) > MAX_HEAD_BYTES:
            raise BadRequestError("The headers of the request are too long.")
        more = await loop.sock_recv(client, MAX_HEAD_BYTES)
        if not more:
            raise BadRequestError("The request has no end.")
        start += more
    head, _, rest = start.partition(_END_OF_HEAD)
    return _read_http(head, rest)


def _read_http(head: bytes, rest: bytes) -> ProxyRequest:
    line, *headers = head.split(b"\r\n")
    method, _, rest_of_line = line.partition(b" ")
    target, _, version = rest_of_line.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise BadRequestError("This is not a request of HTTP/1.1 or SOCKS5.")
    if method == b"CONNECT":
        host, port = _authority(target.decode("latin-1"), None)
        return Tunnel(host, port, rest)
    text = target.decode("latin-1")
    if not text.lower().startswith("http://"):
        raise BadRequestError("Use CONNECT, or a URL that starts with http://.")
    try:
        parsed = urlsplit(text)
    except ValueError:
        raise BadRequestError("The URL is not valid.") from None
    if "@" in parsed.netloc:
        raise BadRequestError("The URL must not contain a user name.")
    host, port = _authority(parsed.netloc, 80)
    path = (parsed.path or "/") + (f"?{parsed.query}" if parsed.query else "")
    kept = [h for h in headers if h.partition(b":")[0].strip().lower() not in _OF_THE_HOP]
    # One request for each connection: the next one may be for another host.
    own = [b"Host: " + parsed.netloc.encode("latin-1"), b"Connection: close"]
    first = b" ".join([method, path.encode("latin-1"), version])
    return Forwarded(host, port, b"\r\n".join([first, *own, *kept]) + _END_OF_HEAD + rest)


def _authority(text: str, default_port: int | None) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, "" if default_port is None else str(default_port)
    if not port and default_port is not None:
        port = str(default_port)
    if not _PORT.fullmatch(port) or not 0 < int(port) <= LAST_PORT:
        raise BadRequestError("The request must name a host and a port from 1 to 65535.")
    return host, int(port)


class _SocksReader:
    """Reads the two messages of a SOCKS client."""

    def __init__(self, client: socket.socket, start: bytes) -> None:
        self._client = client
        self._data = start

    async def read(self) -> SocksConnect:
        loop = asyncio.get_running_loop()
        _, count = await self._take(2)
        if _NO_AUTHENTICATION not in await self._take(count):
            await loop.sock_sendall(self._client, bytes([_SOCKS, 0xFF]))
            raise BadRequestError("The SOCKS proxy takes no user name.")
        await loop.sock_sendall(self._client, bytes([_SOCKS, _NO_AUTHENTICATION]))
        version, command, _, kind = await self._take(4)
        if version != _SOCKS or command != _CONNECT or kind not in (_IPV4, _NAME, _IPV6):
            await loop.sock_sendall(self._client, _socks_answer(_UNSUPPORTED))
            raise BadRequestError("The SOCKS proxy only knows CONNECT.")
        host = await self._host(kind)
        port = int.from_bytes(await self._take(2))
        return SocksConnect(host, port, self._data)

    async def _host(self, kind: int) -> str:
        if kind == _NAME:
            [length] = await self._take(1)
            return (await self._take(length)).decode("latin-1")
        return str(ip_address(await self._take(4 if kind == _IPV4 else 16)))

    async def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            more = await asyncio.get_running_loop().sock_recv(self._client, MAX_HEAD_BYTES)
            if not more:
                raise BadRequestError("The request has no end.")
            self._data += more
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def _socks_answer(code: int) -> bytes:
    return bytes([_SOCKS, code, _RESERVED, _IPV4]) + bytes(6)


def _http_error(status: int, reason: str) -> bytes:
    """An answer with the reason in its status line too, which most programs print."""
    line = reason.encode("ascii", "replace").decode().replace("\r", " ").replace("\n", " ")
    body = f"{reason}\n".encode()
    return (
        f"HTTP/1.1 {status} {line[:MAX_REASON_CHARACTERS]}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
