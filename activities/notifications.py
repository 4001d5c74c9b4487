"""The activity `deliver_notification`: one attempt, recorded before it is made and after."""

import time
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities import messages
from activities.background_tasks import send_heartbeats
from activities.failures import translate_errors
from activities.sending import Sender
from contracts.notifications import DeliverInput, DeliverResult, NotificationActivities
from domain.people.notifications import TRIES, Delivery, delay_after
from persistence.notifications import deliveries
from persistence.notifications.deliveries import AttemptResult, DeliveryAttempt

RETRYING = "The attempt failed and will be retried. Read its error in Perdure's delivery record."

NO_OUTCOME = AttemptResult(error="The worker stopped during every attempt.", is_final=True)


class DeliveryActivities(NotificationActivities):
    """Registered with the worker; one instance per process."""

    def __init__(self, sender: Sender) -> None:
        """`sender` sends the messages."""
        self._sender = sender
        self._database = sender.database

    @activity.defn(name="deliver_notification")
    async def deliver_notification(self, given: DeliverInput) -> DeliverResult:
        """Make one attempt. Its error, unless it is the last one, has the delay of the next one."""
        with translate_errors(), send_heartbeats():
            status, delay = await self._make_attempt(given)
        if status is Delivery.PENDING:
            raise ApplicationError(
                RETRYING,
                type="delivery_failed",
                next_retry_delay=delay,
                category=ApplicationErrorCategory.BENIGN,
            )
        return DeliverResult(status=status)

    async def _make_attempt(self, given: DeliverInput) -> tuple[Delivery, timedelta | None]:
        """Return the delivery's status after this attempt, and the delay until the next one."""
        async with self._database.transaction() as session:
            attempt = await deliveries.begin_attempt(session, given.notification_id)
            if attempt is None:
                return await deliveries.find_status(session, given.notification_id), None
            row = attempt.notification
            if row.payload is None:
                source = await deliveries.load_source(session, row)
                payload = messages.make_payload(row.type, source)
                await deliveries.store_payload(session, row, payload)
        started_at = time.monotonic()
        outcome = NO_OUTCOME if attempt.number > TRIES else await self._sender.send(attempt)
        duration_ms = round((time.monotonic() - started_at) * 1000)
        delay = _delay(attempt, outcome)
        async with self._database.transaction() as session:
            status = await deliveries.end_attempt(
                session, attempt, outcome, duration_ms=duration_ms, delay=delay
            )
        return status, delay


def _delay(attempt: DeliveryAttempt, outcome: AttemptResult) -> timedelta | None:
    if outcome.error is None or outcome.is_final or attempt.number >= TRIES:
        return None
    return delay_after(attempt.number, outcome.retry_after_seconds)
