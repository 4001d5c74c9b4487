"""Connections to MCP servers over HTTP, kept open between calls.

A connection belongs to one user, one server and one version of its secrets. It is used by one call
at a time, so that what a server asks during a call belongs to that call. An idle one is closed.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx2

from domain.mcp.auth import Send
from domain.mcp.servers import ResolvedServer
from mcp_client.authorization import AccessTokens, BearerAuth
from mcp_client.connections import Connection, open_connection
from mcp_client.http import HttpServer

IDLE_SECONDS = 60.0
"""Proxies close idle connections after a minute or more, and servers forget sessions (chosen)."""

MAX_IDLE = 4
"""Of one user and server: what the calls of one turn usually need (chosen)."""

MAX_TOKENS = 1000
"""Of all users and servers; the one that was used least recently is forgotten (chosen)."""

OpenClient = Callable[[Mapping[str, str]], httpx2.AsyncClient]
"""Opens an HTTP client with these headers, which checks addresses."""

_Key = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class _Idle:
    connection: Connection
    expiry: asyncio.TimerHandle


class HttpPool:
    """The connections of one process, a worker or a gateway."""

    def __init__(self, open_client: OpenClient, send: Send) -> None:
        """`open_client` and `send` decide which addresses may be reached.

        `send` makes the requests to authorization servers.
        """
        self._open_client = open_client
        self._send = send
        self._tokens: dict[_Key, AccessTokens] = {}
        self._idle: defaultdict[_Key, list[_Idle]] = defaultdict(list)
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lease(
        self, user_id: UUID, server: ResolvedServer, *, fresh: bool = False
    ) -> AsyncIterator[Connection]:
        """Use a connection; after an error it is closed at once. `fresh`: open a new one.

        Raises:
            McpServerError: the server can't be reached.
        """
        key = (user_id, server.fingerprint)
        connection = None if fresh else self._take(key)
        if connection is None:
            connection = await self._open(key, server)
        try:
            yield connection
        except BaseException:
            connection.cut()
            raise
        self._put(key, connection)

    @asynccontextmanager
    async def open(self, user_id: UUID, server: ResolvedServer) -> AsyncIterator[Connection]:
        """Open a connection that is closed at the end. It uses the token of the others.

        Raises:
            McpServerError: the server can't be reached.
        """
        connection = await self._open((user_id, server.fingerprint), server)
        try:
            yield connection
        finally:
            self._close(connection)

    async def close(self) -> None:
        """Close all connections."""
        for key in list(self._idle):
            while self._idle.get(key):
                self._expire(key, self._idle[key][0])
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _open(self, key: _Key, server: ResolvedServer) -> Connection:
        client = self._open_client(server.headers)
        if (auth := self._auth(key, server)) is not None:
            client.auth = auth
        transport = HttpServer(client, server.url or "")
        return await open_connection(transport, server.key, is_resumable=True)

    def _auth(self, key: _Key, server: ResolvedServer) -> BearerAuth | None:
        """The access token of this user for this server, which all connections share."""
        if server.credentials is None or server.open_secret is None:
            return None
        tokens = self._tokens.pop(key, None) or AccessTokens(
            server.url or "", server.credentials, send=self._send, open_secret=server.open_secret
        )
        self._tokens[key] = tokens
        if len(self._tokens) > MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        return BearerAuth(tokens)

    def _take(self, key: _Key) -> Connection | None:
        """Return the connection that was used last, if one is still open."""
        waiting = self._idle.get(key, [])
        while waiting:
            idle = waiting.pop()
            idle.expiry.cancel()
            if not waiting:
                del self._idle[key]
            if idle.connection.is_open:
                return idle.connection
        return None

    def _put(self, key: _Key, connection: Connection) -> None:
        if not connection.is_open:
            return
        idle: _Idle
        idle = _Idle(
            connection,
            asyncio.get_running_loop().call_later(IDLE_SECONDS, lambda: self._expire(key, idle)),
        )
        self._idle[key].append(idle)
        if len(self._idle[key]) > MAX_IDLE:
            self._expire(key, self._idle[key][0])

    def _expire(self, key: _Key, idle: _Idle) -> None:
        """Close an idle connection in the background."""
        idle.expiry.cancel()
        self._idle[key].remove(idle)
        if not self._idle[key]:
            del self._idle[key]
        self._close(idle.connection)

    def _close(self, connection: Connection) -> None:
        task = asyncio.create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
