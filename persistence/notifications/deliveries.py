"""Deliveries of notifications: which are due, and their attempts, stored before they are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.dispatch import WorkflowFacts
from domain.people.notifications import Delivery
from domain.text import clean
from persistence.tables.executions import ExecutionEventRow, ExecutionRow
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow
from persistence.tables.sessions import InputRequestRow

NEXT_START = timedelta(seconds=30)
"""After this time a failed start is retried (chosen, as for the relay's next wake-up)."""

NEXT_LOOK = timedelta(hours=1)
"""How often a delivery in progress is checked: its workflow is rarely lost or ended in Temporal,
and its attempts are hours apart (chosen)."""

EXCERPT = 500
"""Characters of a receiver's response that are stored (chosen)."""

ENDED_ELSEWHERE = "The delivery's workflow was ended in Temporal."


@dataclass(frozen=True, slots=True)
class NotificationSource:
    """The source of a message: the event, its execution, and the input request of the event."""

    event: ExecutionEventRow
    execution: ExecutionRow
    request: InputRequestRow | None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt that is stored and not made yet."""

    attempt_id: UUID
    number: int
    notification: NotificationRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """The result of an attempt. Without an error the receiver has accepted the message."""

    error: str | None = None
    is_final: bool = False
    status_code: int | None = None
    excerpt: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery whose workflow must be started or checked."""

    id: UUID
    facts: WorkflowFacts


async def take_due(session: AsyncSession, *, limit: int) -> Sequence[DueDelivery]:
    """Deliveries that are due; sets when they are due next. Any number of relays share the work."""
    result = await session.execute(
        select(NotificationRow, ExecutionRow.task_id)
        .outerjoin(ExecutionRow, ExecutionRow.id == NotificationRow.execution_id)
        .where(
            NotificationRow.status == Delivery.PENDING,
            # The database's clock, which wrote it: a worker's clock may be slow.
            NotificationRow.start_at <= func.now(),
        )
        .order_by(NotificationRow.start_at)
        .limit(limit)
        .with_for_update(of=NotificationRow, skip_locked=True)
    )
    found = [(row.NotificationRow, row.task_id) for row in result]
    for row, _ in found:
        row.start_at = datetime.now(UTC) + NEXT_START
    return [DueDelivery(row.id, _facts(row, task_id)) for row, task_id in found]


def _facts(row: NotificationRow, task_id: UUID | None) -> WorkflowFacts:
    """What operators see in Temporal; content and receivers are not included."""
    return WorkflowFacts(
        user_id=row.user_id,
        task_id=task_id,
        title=f"{row.type} by {row.kind}",
        trigger_type="notification",
    )


async def mark_started(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Store that Temporal has their workflows."""
    await session.execute(
        update(NotificationRow)
        .where(NotificationRow.id.in_(ids))
        .values(start_at=datetime.now(UTC) + NEXT_LOOK)
    )


async def give_up(session: AsyncSession, notification_id: UUID) -> None:
    """Write `failed` for a delivery whose workflow has ended."""
    await session.execute(
        update(NotificationRow)
        .where(NotificationRow.id == notification_id, NotificationRow.status == Delivery.PENDING)
        .values(
            status=Delivery.FAILED,
            error=ENDED_ELSEWHERE,
            completed_at=datetime.now(UTC),
            next_attempt_at=None,
        )
    )


async def begin_attempt(session: AsyncSession, notification_id: UUID) -> DeliveryAttempt | None:
    """Store an attempt before it is made; None if the delivery has ended."""
    row = await session.scalar(
        update(NotificationRow)
        .where(NotificationRow.id == notification_id, NotificationRow.status == Delivery.PENDING)
        .values(attempts=NotificationRow.attempts + 1, next_attempt_at=None)
        .returning(NotificationRow)
        .execution_options(populate_existing=True)
    )
    if row is None:
        return None
    attempt = NotificationAttemptRow(notification_id=row.id, number=row.attempts)
    session.add(attempt)
    await session.flush()
    return DeliveryAttempt(attempt.id, row.attempts, row)


async def find_status(session: AsyncSession, notification_id: UUID) -> Delivery:
    """The status of a delivery.

    Raises:
        LookupError: there is no such notification.
    """
    status = await session.scalar(
        select(NotificationRow.status).where(NotificationRow.id == notification_id)
    )
    if status is None:
        raise LookupError(f"no notification {notification_id}")
    return Delivery(status)


async def load_source(session: AsyncSession, row: NotificationRow) -> NotificationSource | None:
    """The source of its message; None for a test."""
    if row.execution_id is None:
        return None
    event = await session.get_one(ExecutionEventRow, (row.execution_id, row.event_seq))
    execution = await session.get_one(ExecutionRow, row.execution_id)
    request_id = event.data.get("input_request_id")
    request = None if request_id is None else await session.get(InputRequestRow, UUID(request_id))
    return NotificationSource(event, execution, request)


async def store_payload(
    session: AsyncSession, row: NotificationRow, payload: Mapping[str, Any]
) -> None:
    """Store the message: every attempt sends the same."""
    row.payload = dict(payload)
    await session.flush()


END = text("""
WITH attempt AS (
    UPDATE notification_attempts SET duration_ms = :duration_ms, status_code = :status_code,
        error = :error, excerpt = :excerpt
    WHERE id = :attempt_id
)
UPDATE notifications SET status = :status, error = :error, next_attempt_at = :next_attempt_at,
    completed_at = CASE :status WHEN 'pending' THEN NULL ELSE now() END
WHERE id = :id AND status = 'pending'
RETURNING id
""")
"""After a lost heartbeat two attempts may run at once; the first that ends the delivery wins."""


async def end_attempt(
    session: AsyncSession,
    attempt: DeliveryAttempt,
    result: AttemptResult,
    *,
    duration_ms: int,
    delay: timedelta | None,
) -> Delivery:
    """Store the result of an attempt; returns the status of the delivery.

    `delay` is the time until the next attempt, None if there is none.
    """
    if result.error is None:
        status = Delivery.DELIVERED
    else:
        status = Delivery.FAILED if delay is None else Delivery.PENDING
    parameters = {
        "id": attempt.notification.id,
        "attempt_id": attempt.attempt_id,
        "status": status,
        "error": result.error and clean(result.error),
        "status_code": result.status_code,
        "excerpt": result.excerpt and clean(result.excerpt)[:EXCERPT],
        "duration_ms": duration_ms,
        "next_attempt_at": delay and datetime.now(UTC) + delay,
    }
    is_ended = await session.scalar(END, parameters) is not None
    return status if is_ended else await find_status(session, attempt.notification.id)
