"""Starts the workflows of notifications as soon as they are committed, and looks after them."""

import asyncio
import contextlib
from typing import Protocol
from uuid import UUID

import structlog

from domain.dispatch import WorkflowFacts
from persistence.db.database import Database
from persistence.notifications import deliveries

PERIOD_SECONDS = 5.0
"""How often it looks if nobody rang: bells are lost with the connection to Postgres (chosen)."""

BATCH = 20
"""Deliveries started at a time; a full batch is followed by the next at once (chosen)."""

log = structlog.get_logger(__name__)


class Dispatcher(Protocol):
    """Talks to Temporal about deliveries (`runtime/dispatch.py`)."""

    async def deliver(self, notification_id: UUID, facts: WorkflowFacts) -> bool | None:
        """Start a delivery's workflow, once. Whether it runs; None: Temporal was not reached."""
        ...


class Deliveries:
    """One per worker process; any number of them share the work."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        """Starts through `dispatcher`."""
        self._database = database
        self._dispatcher = dispatcher
        self._rung = asyncio.Event()

    def wake(self, _payload: str = "") -> None:
        """There is something to deliver (a `NOTIFICATIONS` notification)."""
        self._rung.set()

    async def run(self) -> None:
        """Look until cancelled. A Postgres or Temporal that is away is waited for."""
        while True:
            count = 0
            self._rung.clear()
            try:
                count = await self.look()
            except Exception as error:  # noqa: BLE001 - the edge: nobody else starts what is due
                log.warning("deliveries.failed", error=type(error).__name__)
            if count < BATCH:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._rung.wait(), PERIOD_SECONDS)

    async def look(self) -> int:
        """Start what is due; returns how many there were."""
        async with self._database.transaction() as session:
            due = await deliveries.due(session, limit=BATCH)
        asked = [self._dispatcher.deliver(one.id, one.facts) for one in due]
        running = dict(zip((one.id for one in due), await asyncio.gather(*asked), strict=True))
        if not due:
            return 0
        async with self._database.transaction() as session:
            await deliveries.started(session, [key for key, runs in running.items() if runs])
            for notification_id in (key for key, runs in running.items() if runs is False):
                log.warning("deliveries.gone", notification_id=str(notification_id))
                await deliveries.give_up(session, notification_id)
        return len(due)
