"""Copies bytes between a program in the sandbox and a host."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from domain.web.tls_hello import IncompleteHelloError, read_hello, server_name_problem

CHUNK_BYTES = 256 * 1024
"""Size of one read: with less, a fast transfer needs more CPU time (measured: 64 KiB has half the
throughput). A waiting connection has no buffer."""


class ServerNameError(Exception):
    """The connection starts TLS for another server than it was made to."""


class ByteRelay:
    """One connection and its counts."""

    def __init__(
        self, client: socket.socket, server: socket.socket, *, on_client_end: Callable[[], None]
    ) -> None:
        """Both sockets are non-blocking; the caller closes them."""
        self._client, self._server = client, server
        self._on_client_end = on_client_end
        self._loop = asyncio.get_running_loop()
        self.sent_bytes = 0
        self.received_bytes = 0

    async def run(self, first: bytes, host: str, *, is_address: bool) -> None:
        """Copy until both sides have ended. `first` are bytes that the client has already sent.

        Raises:
            ServerNameError: TLS names another server; nothing was sent to it.
            OSError: one side broke the connection.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(first, host, is_address=is_address))
            group.create_task(self._receive())

    async def _send(self, first: bytes, host: str, *, is_address: bool) -> None:
        first = await self._check_start(first, host, is_address=is_address)
        await self._loop.sock_sendall(self._server, first)
        self.sent_bytes += len(first)
        while data := await self._loop.sock_recv(self._client, CHUNK_BYTES):
            await self._loop.sock_sendall(self._server, data)
            self.sent_bytes += len(data)
        self._on_client_end()
        _end(self._server)

    async def _receive(self) -> None:
        while data := await self._loop.sock_recv(self._server, CHUNK_BYTES):
            await self._loop.sock_sendall(self._client, data)
            self.received_bytes += len(data)
        _end(self._client)

    async def _check_start(self, first: bytes, host: str, *, is_address: bool) -> bytes:
        """Return the client's first bytes, with the whole first message if they are TLS."""
        first = first or await self._loop.sock_recv(self._client, CHUNK_BYTES)
        while first:
            try:
                hello = read_hello(first)
            except IncompleteHelloError:
                more = await self._loop.sock_recv(self._client, CHUNK_BYTES)
                if not more:
                    raise ServerNameError("It ended before TLS named a server.") from None
                first += more
                continue
            except ValueError as error:
                raise ServerNameError(f"Its TLS can't be read: {error}.") from error
            problem = hello and server_name_problem(hello, host, is_address=is_address)
            if problem:
                raise ServerNameError(problem)
            break
        return first


def _end(side: socket.socket) -> None:
    """Signal to one side that nothing follows."""
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_WR)
