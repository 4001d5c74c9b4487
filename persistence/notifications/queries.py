"""Notifications as their owners see them: lists, tries, a test, a redelivery.

Most rows are written by a trigger, with the event they tell of (migration 0008); what delivers them
works through `persistence/notifications/deliveries.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ConflictError
from domain.ids import new_id
from domain.notifications import TEST_EVENT, Delivery, Kind
from persistence.db.live_updates import NOTIFICATIONS_CHANNEL, notify
from persistence.db.paging import Page, Window, newest
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """What a list of notifications is narrowed by."""

    status: str | None = None
    kind: str | None = None
    execution_id: UUID | None = None


async def page(
    session: AsyncSession, user_id: UUID, narrowed: NotificationFilter, window: Window
) -> Page[NotificationRow]:
    """The user's notifications."""
    columns = {
        NotificationRow.status: narrowed.status,
        NotificationRow.kind: narrowed.kind,
        NotificationRow.execution_id: narrowed.execution_id,
    }
    conditions: list[ColumnElement[bool]] = [
        column == value for column, value in columns.items() if value is not None
    ]
    condition = and_(NotificationRow.user_id == user_id, *conditions)
    return await newest(session, NotificationRow, NotificationRow.id, [condition], window)


async def find(session: AsyncSession, notification_id: UUID) -> NotificationRow | None:
    """One notification."""
    return await session.get(NotificationRow, notification_id)


async def list_attempts(
    session: AsyncSession, notification_id: UUID
) -> Sequence[NotificationAttemptRow]:
    """Its tries, in order; `domain.notifications.TRIES` at most."""
    rows = await session.scalars(
        select(NotificationAttemptRow)
        .where(NotificationAttemptRow.notification_id == notification_id)
        .order_by(NotificationAttemptRow.number)
    )
    return rows.all()


async def redeliver(session: AsyncSession, row: NotificationRow) -> NotificationRow:
    """A new delivery of the same message: its receiver knows it by its id.

    Raises:
        ConflictError: the last one is still under way.
    """
    if row.status == Delivery.PENDING:
        raise ConflictError("This notification is still being delivered; see its attempts.")
    again = NotificationRow(
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
    return await _add(session, again)


async def create_test(
    session: AsyncSession, user_id: UUID, kind: Kind, target: Mapping[str, Any]
) -> NotificationRow:
    """A sample for a target, which goes the way of all others."""
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
