"""The listening connection reconnects, even if the other side is gone without notice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

from sqlalchemy import make_url

from persistence.db.database import Database
from persistence.db.live_updates import WAKE_CHANNEL, Listener, notify
from tests.waiting import eventually


class Wire:
    """A proxy to Postgres that can become silent: nothing is closed, and no data is passed."""

    def __init__(self, database_url: str) -> None:
        self._url = make_url(database_url)
        self._serving: list[asyncio.Task[Any]] = []
        self.is_silent = False
        self.dropped = asyncio.Event()
        """A connection was closed."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The address of the database through this proxy."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = self._url.set(host="127.0.0.1", port=port)
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.append(task)
        with closing(writer):
            there, back = await asyncio.open_connection(self._url.host, self._url.port)
            with closing(back):
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while part := await reader.read(65_536):
                    if not self.is_silent:
                        writer.write(part)
        finally:
            self.dropped.set()
            writer.close()


async def test_a_half_open_connection_is_replaced(database_url: str) -> None:
    received: asyncio.Queue[str] = asyncio.Queue()
    connected: asyncio.Queue[None] = asyncio.Queue()
    wire, database = Wire(database_url), Database.connect(database_url)
    async with wire.open() as url:
        listener = Listener(
            url,
            {WAKE_CHANNEL: received.put_nowait},
            on_gap=lambda: connected.put_nowait(None),
            silent_seconds=0.1,
        )
        listening = asyncio.ensure_future(listener.run())
        await connected.get()
        wire.is_silent = True
        await wire.dropped.wait()
        wire.is_silent = False
        await connected.get()

        async def is_received() -> bool:
            """Repeated: on a busy machine, the connection may be replaced once more."""
            async with database.transaction() as session:
                await notify(session, WAKE_CHANNEL, "again")
            return not received.empty()

        await eventually(is_received, what="the notification")
        assert received.get_nowait() == "again"
        listening.cancel()
        await asyncio.wait([listening])
    await database.close()
