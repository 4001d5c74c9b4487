"""Claims that wait for work: one query per user and set of agents serves all of a process.

Work becomes claimable in many ways (a new execution, a completed prerequisite, a lease that ran
out), in any process. Reading an index a few times a second costs less than a notification for each.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from prometheus_client import Gauge

from persistence.db.database import Database
from persistence.db.outages import is_outage
from persistence.executions import leases

PERIOD_SECONDS = 0.25
"""Work waits for a worker at most this long (chosen: a query takes about 0.3 ms)."""

WAITS = Gauge("perdure_queue_waits", "Claims that wait for work.")

log = structlog.get_logger(__name__)

AgentIds = Sequence[str | None] | None
"""The agents of a claim, as in `leases.count_claimable`."""

_Key = tuple[UUID, tuple[str | None, ...] | None]


class QueueWaits:
    """The claims of this process that wait for work."""

    def __init__(self, database: Database) -> None:
        """They are served while `running` is active."""
        self._database = database
        self._waits: dict[_Key, list[asyncio.Future[None]]] = {}
        self._has_waits = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for work until the block ends."""
        task = asyncio.create_task(self._serve())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait(self, user_id: UUID, agent_ids: AgentIds, seconds: float) -> None:
        """Return when there is work that another claim has not been woken for, or after `seconds`.

        Another process may claim it first.
        """
        key = (user_id, None if agent_ids is None else tuple(agent_ids))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(key, []).append(future)
        self._has_waits.set()
        try:
            with WAITS.track_inprogress(), contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await future
        finally:
            self._waits[key].remove(future)
            if not self._waits[key]:
                del self._waits[key]

    async def _serve(self) -> None:
        while True:
            self._has_waits.clear()
            if not self._waits:
                await self._has_waits.wait()
            try:
                await self._wake()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("queue_waits.failed", error=repr(error))
            await asyncio.sleep(PERIOD_SECONDS)

    async def _wake(self) -> None:
        """Wake as many claims as there is work for, those that wait longest first."""
        async with self._database.reading() as session:
            for key, futures in list(self._waits.items()):
                user_id, agent_ids = key
                count = await leases.count_claimable(
                    session, user_id, agent_ids, limit=len(futures)
                )
                for future in futures[:count]:
                    if not future.done():
                        future.set_result(None)
