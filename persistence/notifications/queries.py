"""Notifications as their owners see them: lists, attempts, a test, a redelivery.

A trigger writes most rows in the transaction of their event; `deliveries.py` delivers them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ConflictError
from domain.ids import new_id
from domain.people.notifications import TEST_EVENT, Delivery, Kind
from persistence.db.live_updates import NOTIFICATIONS_CHANNEL, notify
from persistence.db.paging import Filters, Page, Window, matching, newest
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow


async def page(
    session: AsyncSession, user_id: UUID, filters: Filters, window: Window
) -> Page[NotificationRow]:
    """The user's notifications."""
    condition = and_(NotificationRow.user_id == user_id, *matching(NotificationRow, filters))
    return await newest(session, NotificationRow, NotificationRow.id, [condition], window)


async def find(session: AsyncSession, notification_id: UUID) -> NotificationRow | None:
    """One notification."""
    return await session.get(NotificationRow, notification_id)


async def list_attempts(
    session: AsyncSession, notification_id: UUID
) -> Sequence[NotificationAttemptRow]:
    """Its attempts in order, at most `domain.people.notifications.TRIES`."""
    rows = await session.scalars(
        select(NotificationAttemptRow)
        .where(NotificationAttemptRow.notification_id == notification_id)
        .order_by(NotificationAttemptRow.number)
    )
    return rows.all()


async def redeliver(session: AsyncSession, row: NotificationRow) -> NotificationRow:
    """Create a new delivery of the same message; the receiver recognises it by its id.

    Raises:
        ConflictError: the last delivery has not ended.
    """
    if row.status == Delivery.PENDING:
        raise ConflictError("This notification is still being delivered; see its attempts.")
    redelivery = NotificationRow(
        id=new_id(),
        message_id=row.message_id,
        user_id=row.user_id,
        execution_id=row.execution_id,
        event_seq=row.event_seq,
        type=row.type,
        kind=row.kind,
        position=row.position,
        target=row.target,
        payload=row.payload,
    )
    return await _add(session, redelivery)


async def create_test(
    session: AsyncSession, user_id: UUID, kind: Kind, target: Mapping[str, Any]
) -> NotificationRow:
    """Create a test notification, which is delivered as all others."""
    new = new_id()
    sample = NotificationRow(
        id=new,
        message_id=new,
        user_id=user_id,
        type=TEST_EVENT,
        kind=kind,
        position=1,
        target=dict(target),
    )
    return await _add(session, sample)


async def _add(session: AsyncSession, row: NotificationRow) -> NotificationRow:
    row.status, row.start_at = Delivery.PENDING, datetime.now(UTC)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    await notify(session, NOTIFICATIONS_CHANNEL, "")
    return row
