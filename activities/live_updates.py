"""Publishing what happens to whoever looks right now, over Postgres notifications."""

import asyncio
import json
import time
from uuid import UUID

import structlog

from persistence.db.database import Database
from persistence.db.live_updates import LIVE_CHANNEL, NOTIFY, PAYLOAD_LIMIT_BYTES

WATCHED_SECONDS = 15.0
"""A watcher renews its interest every 5 s; after three silent ones nobody looks (chosen)."""

FLUSH_SECONDS = 0.1
"""Text is gathered this long: ten updates a second read as a flow (chosen)."""

log = structlog.get_logger(__name__)


class LiveWatchers:
    """Which executions somebody looks at, on this worker, and what is on its way to them."""

    def __init__(self, database: Database) -> None:
        """`database` carries what is published."""
        self._database = database
        self._until: dict[str, float] = {}
        self._waiting: list[str] = []
        self._sending: asyncio.Task[None] | None = None

    def watch(self, execution_id: str) -> None:
        """Somebody looks (a `WATCH` notification)."""
        now = time.monotonic()
        self._until = {key: until for key, until in self._until.items() if until > now}
        self._until[execution_id] = now + WATCHED_SECONDS

    def is_watched(self, execution_id: str) -> bool:
        """Whether publishing is worth anything."""
        return self._until.get(execution_id, 0.0) > time.monotonic()

    def publish_step(self, execution_id: UUID, event_seq: int, *, is_settled: bool) -> None:
        """New events are in Postgres. That an execution has settled is told to everybody.

        So a gateway's waits need not ask the worker to publish each step.
        """
        if is_settled or self.is_watched(str(execution_id)):
            self.publish(
                {"execution_id": str(execution_id), "seq": event_seq, "is_settled": is_settled}
            )

    def publish(self, payload: dict[str, object]) -> None:
        """Send without waiting; a lost one is no harm.

        One statement carries all that gathers while the last one is under way.
        """
        self._waiting.append(json.dumps(payload))
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                payloads, self._waiting = self._waiting, []
                sent = {"channel": LIVE_CHANNEL, "payloads": list(dict.fromkeys(payloads))}
                await self._database.raw.rows(NOTIFY, sent)
        except Exception as error:  # noqa: BLE001 - the edge: what is lost here is no harm
            log.info("live.lost", error=type(error).__name__)
        finally:
            self._sending = None


class ExecutionLiveUpdates:
    """Whoever looks at one execution; the loop's port."""

    def __init__(self, execution_id: UUID, watchers: LiveWatchers) -> None:
        """Costs nothing while nobody looks."""
        self._execution_id = execution_id
        self._id = str(execution_id)
        self._watchers = watchers
        self._text: list[str] = []
        self._flush: asyncio.TimerHandle | None = None

    def publish_text(self, turn: int, delta: str) -> None:
        """Text as it streams, gathered for a moment."""
        if not self._watchers.is_watched(self._id):
            return
        self._text.append(delta)
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(FLUSH_SECONDS, self._send_text, turn)

    def _send_text(self, turn: int) -> None:
        self._flush = None
        text, self._text = "".join(self._text), []
        # A character takes at most 12 bytes as JSON escapes.
        size = PAYLOAD_LIMIT_BYTES // 12 - 20
        for start in range(0, len(text), size):
            self._watchers.publish(
                {"execution_id": self._id, "turn": turn, "delta": text[start : start + size]}
            )

    def publish_step(self, event_seq: int, *, is_settled: bool) -> None:
        """New events are in Postgres."""
        self._watchers.publish_step(self._execution_id, event_seq, is_settled=is_settled)
