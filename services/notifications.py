"""Start the workflows that deliver notifications."""

import asyncio

import structlog

from persistence.db.database import Database
from persistence.notifications import deliveries
from services.ports import DeliveryServer

BATCH = 20
"""Deliveries that are started concurrently (chosen)."""

log = structlog.get_logger(__name__)


async def start_due_deliveries(database: Database, server: DeliveryServer) -> int:
    """Start the workflows of deliveries that are due. Return the number of deliveries.

    A delivery whose workflow has ended without a result is marked as failed.
    """
    async with database.transaction() as session:
        due = await deliveries.take_due(session, limit=BATCH)
    if not due:
        return 0
    starts = [server.start_delivery(delivery.id, delivery.facts) for delivery in due]
    ids = [delivery.id for delivery in due]
    is_running = dict(zip(ids, await asyncio.gather(*starts), strict=True))
    async with database.transaction() as session:
        await deliveries.mark_started(session, [key for key in ids if is_running[key]])
        for notification_id in (key for key in ids if is_running[key] is False):
            log.warning("notifications.workflow_ended", notification_id=str(notification_id))
            await deliveries.give_up(session, notification_id)
    return len(due)
