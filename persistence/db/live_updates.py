"""What passes through Postgres notifications: fast, lossy, and never the only way.

Four channels. `BELL`: there is something in an execution's signals (payload: its id); a running
loop looks at once, and looks anyway at its next step. `WATCH`: somebody looks at an execution
(payload: its id); the worker that moves it publishes for a while. `LIVE`: what a worker publishes
for watchers (payload: JSON `{"execution_id", "seq", "is_settled"}` after a step, or
`{"execution_id", "turn", "delta"}` as text streams). Nobody watches: nothing is published but that
an execution has settled, so the hot path pays nothing. `NOTIFICATIONS`: there is one to deliver (no
payload); a worker looks at once, and anyway every few seconds.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import asyncpg
import structlog
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

WAKE_CHANNEL = "perdure_wake"
WATCH_CHANNEL = "perdure_watch"
LIVE_CHANNEL = "perdure_live"
NOTIFICATIONS_CHANNEL = "perdure_notifications"

PAYLOAD_LIMIT_BYTES = 7_900
"""A notification carries less than 8,000 bytes (Postgres manual, NOTIFY)."""

RECONNECT_SECONDS = 0.5
"""Between tries to reach a Postgres that went away (chosen: a restart takes about as long)."""

SILENT_SECONDS = 10.0
"""A connection is asked whether it still lives this often: a query costs 0.1 ms (chosen)."""

PROOF_SECONDS = 3.0
"""Longer than a healthy Postgres takes for an answer (chosen)."""

log = structlog.get_logger(__name__)

Handler = Callable[[str], None]


NOTIFY = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) payload")


async def notify(session: AsyncSession, channel: str, *payloads: str) -> None:
    """Send at the commit of this transaction."""
    await session.execute(NOTIFY, {"channel": channel, "payloads": list(payloads)})


class Listener:
    """One connection that listens for as long as the process lives, reconnecting by itself."""

    def __init__(
        self,
        database_url: str,
        handlers: Mapping[str, Handler],
        *,
        on_gap: Callable[[], None],
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """`handlers` by channel. `on_gap` is called after each (re)connect: look at everything.

        A connection that was silent for `silent_seconds` is asked whether it still lives.
        """
        url = make_url(database_url).set(drivername="postgresql")
        self._dsn = url.render_as_string(hide_password=False)
        self._handlers = dict(handlers)
        self._on_gap = on_gap
        self._silent_seconds = silent_seconds

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._listen()
            log.warning("listener.lost", retry_seconds=RECONNECT_SECONDS)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        gone = asyncio.Event()
        connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            connection.add_termination_listener(lambda _: gone.set())
            for channel in self._handlers:
                await connection.add_listener(channel, self._dispatch)
            self._on_gap()
            while not gone.is_set():
                await self._prove(connection, gone)
        finally:
            connection.terminate()

    async def _prove(self, connection: asyncpg.Connection, gone: asyncio.Event) -> None:
        """Wait for the end of a connection, and ask it something when it was silent for long.

        A half-open one, whose other side vanished without a word, would otherwise never end.
        """
        try:
            async with asyncio.timeout(self._silent_seconds):
                await gone.wait()
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=PROOF_SECONDS)

    def _dispatch(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._handlers[channel](str(payload))
