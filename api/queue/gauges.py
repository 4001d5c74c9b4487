"""Prometheus gauges of the queue, read from the database when the metrics are requested.

All gateways report the same numbers: take the maximum, not the sum.
"""

import asyncio
import time

from prometheus_client import Gauge

from persistence.db.database import Database
from persistence.db.outages import is_outage
from persistence.executions import queue_state

KEPT_SECONDS = 10.0
"""Requests within this time get the same numbers (chosen; scrapers commonly come every 15 s)."""

MOST_AGENTS = 100
"""Agents with series of their own, those with the most work; users name agents (chosen)."""

OTHERS = "(others)"
NO_AGENT = "(none)"

PENDING = Gauge(
    "perdure_queue_pending",
    "External work that waits for a worker, at most 10,000 of each user and agent.",
    ["agent"],
)
OLDEST = Gauge(
    "perdure_queue_oldest_pending_seconds", "Age of the oldest work that waits.", ["agent"]
)
CLAIMED = Gauge("perdure_queue_claimed", "External work that a worker has.")


class QueueGauges:
    """Keeps the gauges of one process current."""

    def __init__(self, database: Database) -> None:
        """Reads nothing until the first request."""
        self._database = database
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the numbers again, unless they are recent. In an outage they stay as they are."""
        async with self._reading:
            now = time.monotonic()
            if self._read_at is not None and now - self._read_at < KEPT_SECONDS:
                return
            try:
                await self._read()
            except Exception as error:
                if not is_outage(error):
                    raise
            self._read_at = time.monotonic()

    async def _read(self) -> None:
        async with self._database.reading() as session:
            pending = await queue_state.list_pending(session)
            claimed = await queue_state.count_claimed(session)
        ranked = sorted(pending, key=lambda one: -one.number)
        rest = ranked[MOST_AGENTS:]
        PENDING.clear()
        OLDEST.clear()
        CLAIMED.set(claimed)
        now = time.time()
        for one in ranked[:MOST_AGENTS]:
            label = NO_AGENT if one.agent_id is None else one.agent_id
            PENDING.labels(label).set(one.number)
            OLDEST.labels(label).set(max(0.0, now - one.oldest_at.timestamp()))
        if rest:
            PENDING.labels(OTHERS).set(sum(one.number for one in rest))
            oldest = min(one.oldest_at for one in rest)
            OLDEST.labels(OTHERS).set(max(0.0, now - oldest.timestamp()))
