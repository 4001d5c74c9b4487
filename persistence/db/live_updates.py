"""Messages over Postgres notifications. While the connection is closed, messages are lost.

- `WAKE_CHANNEL`: an execution has a new signal (payload: its id). A running loop reads its signals
  at once; without the message it does so at its next step.
- `WATCH_CHANNEL`: a client watches an execution (payload: its id). The worker that runs it
  publishes for a while.
- `LIVE_CHANNEL`: for clients that watch an execution: JSON `{"execution_id", "seq"}` from a trigger
  in each transaction that appends events, and `{"execution_id", "turn", "delta"}` from the worker
  for streamed text, or `"progress"` in place of `"delta"` for a running tool call. Without a client
  the worker publishes only that an execution has settled (`{"execution_id", "seq", "is_settled"}`,
  with `"has_ended"` if it stays so), so a step costs nothing more.
- `USERS_CHANNEL`: a user's rights have changed (payload: the user's id). Gateways check the open
  streams of the user at once.
- `NOTIFICATIONS_CHANNEL`: there is a notification to deliver (no payload). A worker looks at once;
  without the message it does so every few seconds.
- `RELAY_CHANNEL`: a workflow is to be woken at once (no payload). Without the message, the relay
  does so after a second.
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
RELAY_CHANNEL = "perdure_relay"
USERS_CHANNEL = "perdure_users"

PAYLOAD_LIMIT_BYTES = 7_900
"""A notification carries less than 8,000 bytes (Postgres manual, NOTIFY)."""

RECONNECT_SECONDS = 0.5
"""Between attempts to reconnect (chosen: a restart of Postgres takes about as long)."""

SILENT_SECONDS = 10.0
"""How often a silent connection is checked: a query costs 0.1 ms (chosen)."""

CHECK_SECONDS = 3.0
"""Longer than a healthy Postgres takes for a query (chosen)."""

log = structlog.get_logger(__name__)

Handler = Callable[[str], None]


NOTIFY = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) payload")

NOTIFY_ALONE = text(f"{NOTIFY.text} WHERE set_config('synchronous_commit', 'off', true) = 'off'")
"""As `NOTIFY`, in a transaction of its own, which stores nothing and does not wait for the disk."""


async def notify(session: AsyncSession, channel: str, *payloads: str) -> None:
    """Send messages at the commit of this transaction."""
    await session.execute(NOTIFY, {"channel": channel, "payloads": list(payloads)})


class Listener:
    """One connection that listens as long as the process runs, and reconnects by itself."""

    def __init__(
        self,
        database_url: str,
        handlers: Mapping[str, Handler],
        *,
        on_gap: Callable[[], None],
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """`handlers` by channel. `on_gap` is called after each connect: messages may be lost.

        A connection that was silent for `silent_seconds` is checked with a query.
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
                await self._check(connection, gone)
        finally:
            connection.terminate()

    async def _check(self, connection: asyncpg.Connection, gone: asyncio.Event) -> None:
        """Wait for the end of a connection; check it after a long silence.

        Otherwise a half-open connection, whose other side is gone, would never end.
        """
        try:
            async with asyncio.timeout(self._silent_seconds):
                await gone.wait()
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=CHECK_SECONDS)

    def _dispatch(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._handlers[channel](str(payload))
