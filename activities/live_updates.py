"""Publish what an execution does to the gateways that watch it, over Postgres notifications."""

import asyncio
import json
import time
from uuid import UUID

import structlog

from domain.executions.steps import ToolCall
from domain.tools.calls import ToolProgress
from persistence.db.database import Database
from persistence.db.live_updates import LIVE_CHANNEL, NOTIFY_ALONE, PAYLOAD_LIMIT_BYTES

WATCHED_SECONDS = 15.0
"""A watcher renews its interest every 5 s; after three missed renewals it is gone (chosen)."""

PROGRESS_SECONDS = 0.5
"""The latest progress of a call is published this often: a person reads a changing line twice a
second, and a server may send thousands (chosen)."""

FLUSH_SECONDS = 0.1
"""Streamed text is collected this long: ten updates per second look continuous (chosen)."""

MAX_ESCAPED_BYTES = 12
"""The size of one character in JSON: a surrogate pair is two escapes of 6 bytes."""

log = structlog.get_logger(__name__)


class LiveWatchers:
    """Which executions of this worker are watched, and the updates that wait to be sent."""

    def __init__(self, database: Database) -> None:
        """Publish over `database`."""
        self._database = database
        self._watched_until: dict[str, float] = {}
        self._waiting: list[str] = []
        self._sending: asyncio.Task[None] | None = None

    def watch(self, execution_id: str) -> None:
        """Publish the updates of an execution for the next `WATCHED_SECONDS`."""
        now = time.monotonic()
        self._watched_until = {
            key: until for key, until in self._watched_until.items() if until > now
        }
        self._watched_until[execution_id] = now + WATCHED_SECONDS

    def is_watched(self, execution_id: str) -> bool:
        """Return whether a gateway watches this execution."""
        return self._watched_until.get(execution_id, 0.0) > time.monotonic()

    def publish_step(self, execution_id: UUID, event_seq: int, *, is_settled: bool) -> None:
        """Publish that an execution has settled, for requests that wait for it.

        A trigger publishes the events of executions that are watched.
        """
        if is_settled:
            self.publish(
                {"execution_id": str(execution_id), "seq": event_seq, "is_settled": is_settled}
            )

    def publish_end(self, execution_id: UUID, event_seq: int) -> None:
        """Publish that an execution has ended, for requests that wait for it."""
        ended = {"seq": event_seq, "is_settled": True, "has_ended": True}
        self.publish({"execution_id": str(execution_id), **ended})

    def publish(self, payload: dict[str, object]) -> None:
        """Send without waiting. An update may be lost; watchers also read from Postgres.

        One statement carries all updates that arrive while the previous one is being sent.
        """
        self._waiting.append(json.dumps(payload))
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                payloads, self._waiting = self._waiting, []
                parameters = {"channel": LIVE_CHANNEL, "payloads": list(dict.fromkeys(payloads))}
                await self._database.raw.rows(NOTIFY_ALONE, parameters)
        except Exception as error:  # noqa: BLE001 - the edge: a lost update does no harm
            log.info("live_updates.lost", error=type(error).__name__)
        finally:
            self._sending = None


class ExecutionLiveUpdates:
    """The live updates of one execution; a port of the loop. Without watchers it does nothing."""

    def __init__(self, execution_id: UUID, watchers: LiveWatchers) -> None:
        """Publish through `watchers`."""
        self._execution_id = execution_id
        self._id = str(execution_id)
        self._watchers = watchers
        self._text: list[str] = []
        self._flush: asyncio.TimerHandle | None = None
        self._progress: dict[str, dict[str, object]] = {}
        """The latest of each running call that waits to be sent."""
        self._position = 0  # characters of the current answer so far
        self._offset = 0  # characters of it before `_text`

    def publish_text(self, turn: int, delta: str) -> None:
        """Publish streamed text, collected for `FLUSH_SECONDS`.

        Each part has its `offset` in the answer: who watches from the middle misses the beginning.
        """
        before, self._position = self._position, self._position + len(delta)
        if not self._watchers.is_watched(self._id):
            return
        if not self._text:
            self._offset = before
        self._text.append(delta)
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(FLUSH_SECONDS, self._send_text, turn)

    def _send_text(self, turn: int) -> None:
        self._flush = None
        text, self._text = "".join(self._text), []
        size = PAYLOAD_LIMIT_BYTES // MAX_ESCAPED_BYTES - 20  # the rest of the payload
        for start in range(0, len(text), size):
            part = {"offset": self._offset + start, "delta": text[start : start + size]}
            self._watchers.publish({"execution_id": self._id, "turn": turn, **part})

    def publish_progress(self, turn: int, call: ToolCall, progress: ToolProgress) -> None:
        """Publish the latest progress of a call, collected for `PROGRESS_SECONDS`."""
        known = progress.as_json()
        if not known or not self._watchers.is_watched(self._id):
            return
        if not self._progress:
            loop = asyncio.get_running_loop()
            loop.call_later(PROGRESS_SECONDS, self._send_progress)
        call_id = str(call.id)
        fields = {"tool_call_id": call_id, "name": call.name, **known}
        self._progress[call_id] = {"turn": turn, "progress": fields}

    def _send_progress(self) -> None:
        waiting, self._progress = self._progress, {}
        for fields in waiting.values():
            self._watchers.publish({"execution_id": self._id, **fields})

    def publish_step(self, event_seq: int, *, is_settled: bool) -> None:
        """Publish that Postgres has new events; after a step another answer begins."""
        self._position = 0
        self._watchers.publish_step(self._execution_id, event_seq, is_settled=is_settled)
