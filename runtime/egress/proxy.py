"""The proxy of one sandbox: accepts its connections, checks them, and records them."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from domain.errors import AddressRefusedError, OutboundError
from domain.web.addresses import literal
from domain.web.connections import MAX_REASON, Connection, Verdict
from domain.web.network import MAX_HOST_CHARACTERS, NetworkList, parse_host
from runtime.egress.relay import ByteRelay, ServerNameError
from runtime.egress.requests import BadRequestError, ProxyRequest, bad_request, read_request
from runtime.network import NetworkGuard

HEAD_SECONDS = 30.0
"""Limit for a request after its connection was opened (chosen)."""

RESOLVE_SECONDS = 10.0
"""Limit for a look-up: two tries at two name servers take this long (resolv.conf(5))."""

CONNECT_SECONDS = 10.0
"""For each address, as curl does for the first ones (chosen)."""

MAX_TRIED_ADDRESSES = 3
"""Addresses of one host that are tried (chosen)."""

ACCEPT_PAUSE_SECONDS = 0.1
"""After a connection could not be accepted, so that a full table of files is not polled."""

CLOSING_SECONDS = 0.5
"""For the host to end a connection that the sandbox has closed; then it is recorded with the next
call (chosen)."""

MAX_OPEN = 64
"""Connections of one sandbox at a time; more wait. A browser opens six for each host (chosen)."""


MAX_LOOK_UPS = 4
"""Look-ups of one sandbox at a time. All sandboxes share the threads of `runtime.resolution`, and
a name server of the sandbox's choice may be slow (chosen: an eighth of the threads)."""


@dataclass(slots=True)
class _Target:
    """A connection that is being made, as it will be recorded."""

    request: ProxyRequest
    host: str
    address: str | None = None


class SandboxProxy:
    """Serves one listening socket until it is closed."""

    def __init__(
        self,
        listener: socket.socket,
        guard: NetworkGuard,
        allowed: NetworkList,
        *,
        on_connection: Callable[[Connection], None],
    ) -> None:
        """`on_connection` gets each connection when it ends, also one that was refused."""
        self._listener = listener
        self._guard = guard
        self._allowed = allowed
        self._report = on_connection
        self._open = asyncio.Semaphore(MAX_OPEN)
        self._look_ups = asyncio.Semaphore(MAX_LOOK_UPS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Future[None]] = set()
        """Connections that the sandbox has closed and the host has not."""
        listener.setblocking(False)
        self._serving = asyncio.create_task(self._serve())

    async def report_closed(self) -> None:
        """Wait a moment until the connections that the sandbox has closed are reported."""
        await asyncio.sleep(0)  # reads that are ready
        await asyncio.sleep(0)
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSING_SECONDS)

    async def close(self) -> None:
        """Close the socket and all connections, which are reported before this returns."""
        tasks = [self._serving, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._open.acquire()
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:  # too many open files, for example
                self._open.release()
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            task = asyncio.create_task(self._handle(client))
            self._tasks.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._open.release()

    async def _handle(self, client: socket.socket) -> None:
        """Serve one connection. What goes wrong on it ends only this one."""
        with client, contextlib.suppress(OSError, TimeoutError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                async with asyncio.timeout(HEAD_SECONDS):
                    request = await read_request(client)
            except BadRequestError as error:
                await _answer(client, bad_request(str(error)))
                return
            if request is not None:
                await self._connect(client, request)

    async def _connect(self, client: socket.socket, request: ProxyRequest) -> None:
        host = parse_host(request.host) or _plain(request.host)[:MAX_HOST_CHARACTERS]
        target = _Target(request, host)
        try:
            server = await self._dial(target)
        except AddressRefusedError as error:
            await self._refuse(client, target, "refused", error.detail)
        except (OutboundError, OSError, TimeoutError) as error:
            reason = getattr(error, "detail", None) or f"{target.host} can't be reached."
            await self._refuse(client, target, "failed", reason)
        except asyncio.CancelledError:
            self._report(_record(target, "failed", "The command ended before it was made."))
            raise
        else:
            with server:
                await self._relay(client, server, target)

    async def _refuse(
        self, client: socket.socket, target: _Target, verdict: Verdict, reason: str
    ) -> None:
        self._report(_record(target, verdict, reason))
        is_allowed = verdict == "failed"
        await _answer(client, target.request.refuse(reason, is_allowed=is_allowed))

    async def _dial(self, target: _Target) -> socket.socket:
        """Connect to an address that was checked; nothing is resolved after the check."""
        async with asyncio.timeout(RESOLVE_SECONDS), self._look_ups:
            addresses = await self._guard.pin(
                target.request.host, target.request.port, self._allowed
            )
        *first, last = addresses[:MAX_TRIED_ADDRESSES]
        for address in first:
            with contextlib.suppress(OSError, TimeoutError):
                return await _open(target, address)
        return await _open(target, last)

    async def _relay(self, client: socket.socket, server: socket.socket, target: _Target) -> None:
        reported = asyncio.get_running_loop().create_future()
        relay = ByteRelay(client, server, on_client_end=partial(self._closing.add, reported))
        verdict: Verdict = "allowed"
        reason: str | None = None
        try:
            await asyncio.get_running_loop().sock_sendall(client, target.request.grant())
            is_address = literal(target.host) is not None
            await relay.run(target.request.first_bytes, target.host, is_address=is_address)
        except* ServerNameError as errors:
            verdict, reason = "refused", str(errors.exceptions[0])
        except* OSError:
            reason = "One side broke the connection."
        finally:
            record = _record(target, verdict, reason)
            sent, received = relay.sent_bytes, relay.received_bytes
            self._report(replace(record, sent_bytes=sent, received_bytes=received))
            self._closing.discard(reported)
            reported.set_result(None)


async def _open(target: _Target, address: str) -> socket.socket:
    """Connect to one address within the time."""
    target.address = address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(server, (address, target.request.port))
    except BaseException:
        server.close()
        raise
    return server


async def _answer(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


def _record(target: _Target, verdict: Verdict, reason: str | None) -> Connection:
    port, text = target.request.port, reason and _plain(reason)[:MAX_REASON]
    return Connection(target.host, port, verdict, text, target.address)


def _plain(text: str) -> str:
    """Return a text without characters that need room in messages or affect terminals."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
