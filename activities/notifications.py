"""`deliver`: one try of a notification, on record before it is made and after."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities import messages
from activities.failures import translated
from activities.sending import Sender
from contracts import policies
from contracts.notifications import DeliverInput, DeliverResult, NotificationActivities
from domain.notifications import TRIES, Delivery, delay_after
from persistence.notifications import deliveries
from persistence.notifications.deliveries import Tried, Try

AGAIN = "The receiver did not take it; it is tried again. The notification's record says more."

DEADLY = Tried(error="The worker died in each of its tries.", is_final=True)


class Notifying(NotificationActivities):
    """Registered with the worker; one instance per process."""

    def __init__(self, sender: Sender, *, public_url: str | None) -> None:
        """`public_url` is where links in messages lead."""
        self._sender = sender
        self._database = sender.database
        self._public_url = public_url

    @activity.defn(name="deliver")
    async def deliver(self, start: DeliverInput) -> DeliverResult:
        """One try; a failure that is not the last says when the next is due."""
        with translated():
            async with _beating():
                status, delay = await self._try(start)
        if status is Delivery.PENDING:
            raise ApplicationError(
                AGAIN,
                type="delivery_failed",
                next_retry_delay=delay,
                category=ApplicationErrorCategory.BENIGN,
            )
        return DeliverResult(status=status)

    async def _try(self, start: DeliverInput) -> tuple[Delivery, timedelta | None]:
        """How the delivery stands after this try, and when the next is due if it is not over."""
        async with self._database.transaction() as session:
            this = await deliveries.begin(session, start.notification_id)
            if this is None:
                return await deliveries.status_of(session, start.notification_id), None
            row = this.notification
            if row.payload is None:
                story = await deliveries.story(session, row)
                made = messages.payload_of(row.type, story, self._public_url)
                await deliveries.pin(session, row, made)
        began = time.monotonic()
        tried = DEADLY if this.number > TRIES else await self._sender.send(this)
        duration_ms = round((time.monotonic() - began) * 1000)
        delay = _delay(this, tried)
        async with self._database.transaction() as session:
            status = await deliveries.end(
                session, this, tried, duration_ms=duration_ms, delay=delay
            )
        return status, delay


def _delay(this: Try, tried: Tried) -> timedelta | None:
    if tried.error is None or tried.is_final or this.number >= TRIES:
        return None
    return delay_after(this.number, tried.retry_after_seconds)


@asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    """Beat while the block runs: a dead worker is noticed in seconds."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(policies.HEARTBEAT_EVERY.total_seconds())
            activity.heartbeat()

    beating = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        beating.cancel()
