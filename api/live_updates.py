"""Live updates of executions: one listener per process serves all open streams and waits.

Streams read events only after a notification, which Postgres sends for every event of an execution
that is watched (a trigger). Waits end with the notification of an end, read their state after
others, and all together once a second, because waiting for an execution does not make it watched.
"""

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from uuid import UUID

import structlog

from persistence.db.database import Database
from persistence.db.live_updates import LIVE_CHANNEL, USERS_CHANNEL, Listener
from persistence.db.outages import is_outage
from persistence.executions import events
from persistence.executions.cached_reads import CachedReads
from services.ports import UserCache

T = TypeVar("T")

log = structlog.get_logger(__name__)

ANNOUNCE_SECONDS = 5.0
"""Interval of announcements; see `events.WATCHED_SECONDS`."""

FALLBACK_SECONDS = 1.0
"""Maximum delay of a wait if a notification is lost (chosen)."""

SHARED_SECONDS = 1.0
"""For which streams share a read: all of them wake at the same notification (chosen)."""

LIVE_ONLY = frozenset({"delta", "progress"})
"""Fields of updates that are not recorded."""

KEPT_DELTAS = 1_000
"""Buffered text for a slow client; older text is dropped (chosen)."""


class Subscription:
    """Pending text and events of one stream, and whether its rights may have changed."""

    def __init__(self, user_id: UUID) -> None:
        """Starts as changed, so that the first read happens at once."""
        self.user_id = user_id
        self.has_news = True
        self.has_other_rights = False
        self.deltas: deque[dict[str, Any]] = deque(maxlen=KEPT_DELTAS)
        self._changed = asyncio.Event()

    def notify(self, delta: dict[str, Any] | None = None) -> None:
        """Add streamed text or progress, or mark that there are new events."""
        if delta is None:
            self.has_news = True
        else:
            self.deltas.append(delta)
        self._changed.set()

    def check_rights(self) -> None:
        """Mark that the user or their credentials may have changed."""
        self.has_other_rights = True
        self._changed.set()

    async def wait_for_change(self, seconds: float) -> None:
        """Return when anything has changed, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()


class LiveUpdates:
    """The streams and waits of this process, by execution."""

    def __init__(
        self,
        database: Database,
        cached_reads: CachedReads,
        database_url: str,
        user_caches: Sequence[UserCache] = (),
    ) -> None:
        """Listens on its own connection while `running` is active.

        `user_caches` forget a user whom another process has changed.
        """
        self._database = database
        self._cached_reads = cached_reads
        self._user_caches = user_caches
        handlers = {LIVE_CHANNEL: self._on_live, USERS_CHANNEL: self._on_user}
        self._listener = Listener(database_url, handlers, on_gap=self._on_gap)
        self._streams: dict[UUID, set[Subscription]] = {}
        self._idle: set[Subscription] = set()
        """Streams that follow no execution, only the rights of their users."""
        self._watched_at: dict[UUID, float] = {}
        self._reads: dict[UUID, dict[int, asyncio.Task[Any]]] = {}
        """Reads since the last notification, which streams at the same event share."""
        self._waits: dict[UUID, set[asyncio.Future[None]]] = {}
        self._to_check: set[UUID] = set()
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen, announce and poll until the block ends."""
        tasks = [
            asyncio.create_task(self._listener.run()),
            asyncio.create_task(self._announce()),
            asyncio.create_task(self._check()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextmanager
    def subscribe(self, execution_id: UUID, user_id: UUID) -> Iterator[Subscription]:
        """Subscribe a user's stream to the updates of an execution."""
        subscription = Subscription(user_id)
        self._streams.setdefault(execution_id, set()).add(subscription)
        try:
            yield subscription
        finally:
            _discard(self._streams, execution_id, subscription)
            if execution_id not in self._streams:
                self._reads.pop(execution_id, None)

    async def share(
        self, execution_id: UUID, after: int, read: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        """What `read` returns, or the result of the same read by another stream.

        Only a read that began after the last notification is shared, so no event is missed.
        """
        reads = self._reads.setdefault(execution_id, {})
        task = reads.get(after)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = reads[after] = asyncio.create_task(read())
            asyncio.get_running_loop().call_later(SHARED_SECONDS, reads.pop, after, None)
        result: T = await asyncio.shield(task)
        return result

    @contextmanager
    def following_rights(self, user_id: UUID) -> Iterator[Subscription]:
        """Subscribe a user's stream to changes of the user and their credentials only."""
        subscription = Subscription(user_id)
        self._idle.add(subscription)
        try:
            yield subscription
        finally:
            self._idle.discard(subscription)

    async def watch(self, execution_id: UUID) -> None:
        """Make an execution watched, before the first read of a stream.

        All streams of an execution share the announcements.
        """
        if time.monotonic() - self._watched_at.get(execution_id, 0) > ANNOUNCE_SECONDS:
            await self._watch([execution_id])

    async def wait_until_settled(self, execution_id: UUID, seconds: float) -> None:
        """Return when the execution has ended or waits for a person, or after `seconds`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(execution_id, set()).add(future)
        self._mark(execution_id)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await future
        finally:
            _discard(self._waits, execution_id, future)

    def _on_live(self, payload: str) -> None:
        message: dict[str, Any] = json.loads(payload)
        execution_id = UUID(message.pop("execution_id"))
        if LIVE_ONLY & message.keys():
            for subscription in self._streams.get(execution_id, ()):
                subscription.notify(message)
        else:
            self._notify_news(execution_id)
        if message.get("has_ended"):
            self._end_waits(execution_id)
        elif message.get("is_settled") and execution_id in self._waits:
            self._mark(execution_id)  # a person may have answered meanwhile

    def _notify_news(self, execution_id: UUID) -> None:
        """Let the streams of an execution read its new events."""
        self._reads.pop(execution_id, None)
        for subscription in self._streams.get(execution_id, ()):
            subscription.notify()

    def _on_user(self, payload: str) -> None:
        user_id = UUID(payload)
        for cache in self._user_caches:
            cache.forget(user_id)
        for subscription in self._subscriptions():
            if subscription.user_id == user_id:
                subscription.check_rights()

    def _on_gap(self) -> None:
        """Updates may have been missed while the connection was closed."""
        for execution_id in self._streams:
            self._notify_news(execution_id)
        for subscription in self._subscriptions():
            subscription.check_rights()
        self._to_check.update(self._waits)
        self._wake.set()

    def _subscriptions(self) -> Iterator[Subscription]:
        yield from self._idle
        for subscriptions in self._streams.values():
            yield from subscriptions

    def _mark(self, execution_id: UUID) -> None:
        self._to_check.add(execution_id)
        self._wake.set()

    async def _announce(self) -> None:
        while True:
            await asyncio.sleep(ANNOUNCE_SECONDS)
            with _unless_away("watch.announce_failed"):
                await self._watch(list(self._streams))

    async def _watch(self, execution_ids: Sequence[UUID]) -> None:
        """Announce these executions; events between two announcements may have been missed."""
        now = time.monotonic()
        if execution_ids:
            async with self._database.transaction() as session:
                await events.watch(session, execution_ids)
        for execution_id in execution_ids:
            before = self._watched_at.get(execution_id)
            self._watched_at[execution_id] = now
            if before is not None and now - before > events.WATCHED_SECONDS:
                self._notify_news(execution_id)
        self._watched_at = {i: at for i, at in self._watched_at.items() if i in self._streams}

    async def _check(self) -> None:
        """Check which waits are over: the notified ones at once, all of them once a second.

        One statement serves all waits that were marked during the previous one, so a hundred waits
        cost little more than one.
        """
        while True:
            try:
                async with asyncio.timeout(FALLBACK_SECONDS):
                    await self._wake.wait()
                marked = [i for i in self._to_check if i in self._waits]
            except TimeoutError:
                marked = list(self._waits)
            self._wake.clear()
            self._to_check.clear()
            if marked:
                with _unless_away("watch.check_failed"):
                    await self._release(marked)

    async def _release(self, marked: list[UUID]) -> None:
        for execution_id in await self._cached_reads.list_settled(marked):
            self._end_waits(execution_id)

    def _end_waits(self, execution_id: UUID) -> None:
        for future in self._waits.get(execution_id, ()):
            if not future.done():
                future.set_result(None)


@contextmanager
def _unless_away(event: str) -> Iterator[None]:
    """Continue while the database is unavailable; the next check is within a second."""
    try:
        yield
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning(event, error=repr(error))


def _discard(watching: dict[UUID, set[Any]], execution_id: UUID, one: object) -> None:
    watching[execution_id].discard(one)
    if not watching[execution_id]:
        del watching[execution_id]
