"""Connections of the gateway: how many, how large a request head may be, and how slow.

Without these limits, one client without credentials could fill the memory (httptools does not limit
the size of a header) or use all file descriptors.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.errors import HeadTooLargeError
from api.http.problems import render_error
from domain.ids import new_id
from runtime.settings import Settings

MOST_FIELDS = 100
"""Header fields of a request (the limit of Apache; browsers and proxies send 10 to 30)."""

RESERVED_FILES = 128
"""File descriptors for everything except clients: databases, Temporal, logs, files (chosen)."""

MOST_FILES = 65_536
"""More file descriptors than the connections that one process can serve (chosen)."""

STALLED_SECONDS = 30.0
STALLED_BYTES = 64 * 1024
"""A client that reads less than this in that time is disconnected: the response that it does not
read occupies memory (chosen: 2 KB/s is slower than any network in use)."""


@dataclass(slots=True)
class Connections:
    """The limits of a gateway, and its open connections by address."""

    head_bytes: int
    head_seconds: float
    per_address: int
    total: int
    proxies: Sequence[str] = ()
    """Addresses and networks that carry connections of many clients: `per_address` does not apply
    to them."""
    _count: int = 0
    _by_client: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, settings: Settings) -> "Connections":
        """The limits of these settings; the total follows from the limit of file descriptors."""
        return cls(
            head_bytes=settings.api_head_limit_bytes,
            head_seconds=settings.api_head_seconds,
            per_address=settings.max_connections_per_address,
            total=max(RESERVED_FILES, raise_file_limit() - RESERVED_FILES),
            proxies=settings.trusted_proxies,
        )

    @property
    def protocol(self) -> Callable[..., "LimitedProtocol"]:
        """What uvicorn creates for each connection (its option `http`)."""
        return partial(LimitedProtocol, self)

    def enter(self, address: str) -> bool:
        """Count a connection; False if there are too many, and then it is not counted."""
        client = _client_of(address)
        is_over = self._by_client[client] >= self.per_address and not self._is_proxy(address)
        if is_over or self._count >= self.total:
            return False
        self._count += 1
        self._by_client[client] += 1
        return True

    def leave(self, address: str) -> None:
        """A counted connection has ended."""
        client = _client_of(address)
        self._count -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]

    def _is_proxy(self, address: str) -> bool:
        if "*" in self.proxies:
            return True
        return any(ip_address(address) in network for network in _networks(tuple(self.proxies)))


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol for one connection, with limits.

    A timer runs while the gateway waits for a complete head, or for the rest of a body that it no
    longer needs. It does not run while a request is handled: event streams are long.
    """

    def __init__(self, limits: Connections, /, *args: Any, **kwargs: Any) -> None:
        """Accept the arguments that uvicorn passes."""
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._address: str | None = None
        self._is_in_head = False
        self._is_oversized = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse the connection if there are too many, otherwise wait for the first request."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if self._limits.enter(address):
            self._address = address
            self._start_timer()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers and count one connection less."""
        super().connection_lost(exc)
        self._stop_timer()
        self._stop_stall_timer()
        if self._address is not None:
            self._limits.leave(self._address)
            self._address = None

    def data_received(self, data: bytes) -> None:
        """Parse what was received, unless the head has become too large."""
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes:
                self._refuse_head()
                return
        super().data_received(data)
        if self._is_handling and not self._is_in_head:
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """The first byte of a head; its first piece is at most as large as the receive buffer."""
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Handle the request, unless its head is too large."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self._limits.head_bytes or len(self.headers) > MOST_FIELDS:
            self._is_oversized = True
            raise ValueError("the head is too large")  # ends parsing: `send_400_response` follows
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Respond to an error in the parser, which may be a head that is too large."""
        if self._is_oversized:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """The client reads more slowly than the gateway writes."""
        super().pause_writing()
        if self._stall_timer is None:
            self._watch_stall()

    def resume_writing(self) -> None:
        """The client has read most of what was written."""
        super().resume_writing()
        self._stop_stall_timer()

    @property
    def _is_handling(self) -> bool:
        """Whether a response is not complete. Before the first request there is no cycle."""
        return bool(self.cycle) and not self.cycle.response_complete

    def _refuse_head(self) -> None:
        """Respond unless another response is being written, and close."""
        if not self._is_handling:
            error = HeadTooLargeError(
                f"The request head exceeds {self._limits.head_bytes} bytes or {MOST_FIELDS} header "
                "fields; send a shorter URL and fewer or shorter headers."
            )
            response = render_error({"path": "", "request_id": str(new_id())}, error)
            head = [b"HTTP/1.1 431 Request Header Fields Too Large", b"connection: close"]
            head += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*head, b"", bytes(response.body)]))
        self.transport.close()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._limits.head_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_stall(self) -> None:
        size = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(STALLED_SECONDS, self._check_stall, size)

    def _check_stall(self, size_before: int) -> None:
        if size_before - self.transport.get_write_buffer_size() < STALLED_BYTES:
            self.transport.abort()
        else:
            self._watch_stall()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


def _client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or a /64 network, which one IPv6 client has."""
    return str(ip_network((address, 64), strict=False)) if ":" in address else address


@cache
def _networks(proxies: tuple[str, ...]) -> Sequence[IPv4Network | IPv6Network]:
    """The trusted proxies that are addresses or networks; uvicorn also takes other names."""
    found = []
    for proxy in proxies:
        with suppress(ValueError):
            found.append(ip_network(proxy, strict=False))
    return found


def raise_file_limit() -> int:
    """Raise the process's limit of file descriptors as far as allowed, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
