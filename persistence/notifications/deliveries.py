"""Delivering notifications: which are due, each try on record before it is made, how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.dispatch import WorkflowFacts
from domain.notifications import Delivery
from domain.text import clean
from persistence.tables.executions import ExecutionEventRow, ExecutionRow
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow
from persistence.tables.sessions import InputRequestRow

NEXT_START = timedelta(seconds=30)
"""A start that failed is tried again after this long (chosen, as the relay's next ring)."""

NEXT_LOOK = timedelta(hours=1)
"""How often a delivery under way is looked after: that its workflow was lost or ended behind our
back is rare, and its tries lie hours apart (chosen)."""

EXCERPT = 500
"""Characters of a receiver's answer that are kept (chosen)."""

ENDED_ELSEWHERE = "The delivery's workflow was ended in Temporal."


@dataclass(frozen=True, slots=True)
class NotificationSource:
    """What a message is made of: the event, its execution, and the request it speaks of."""

    event: ExecutionEventRow
    execution: ExecutionRow
    request: InputRequestRow | None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """A try that is on record and not made yet."""

    attempt_id: UUID
    number: int
    notification: NotificationRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What came of a try. No error: it was taken."""

    error: str | None = None
    is_final: bool = False
    status_code: int | None = None
    excerpt: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery whose workflow is to be started, or looked after."""

    id: UUID
    facts: WorkflowFacts


async def take_due(session: AsyncSession, *, limit: int) -> Sequence[DueDelivery]:
    """Deliveries whose time has come; pushes their next time back. Any number of relays share."""
    result = await session.execute(
        select(NotificationRow, ExecutionRow.task_id)
        .outerjoin(ExecutionRow, ExecutionRow.id == NotificationRow.execution_id)
        .where(
            NotificationRow.status == Delivery.PENDING,
            # The clock of who wrote it, lest a worker's that is behind wait for its next look.
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
    """For operators and order; what is told, and to whom, stays here."""
    return WorkflowFacts(
        user_id=row.user_id,
        task_id=task_id,
        title=f"{row.type} by {row.kind}",
        trigger_type="notification",
    )


async def mark_started(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Note that Temporal has their workflows."""
    await session.execute(
        update(NotificationRow)
        .where(NotificationRow.id.in_(ids))
        .values(start_at=datetime.now(UTC) + NEXT_LOOK)
    )


async def give_up(session: AsyncSession, notification_id: UUID) -> None:
    """Write `failed` for a delivery whose workflow is no more."""
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
    """Put a try on record before it is made; None when the delivery has ended."""
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
    """Where a delivery stands. Raises `LookupError` where there is none."""
    status = await session.scalar(
        select(NotificationRow.status).where(NotificationRow.id == notification_id)
    )
    if status is None:
        raise LookupError(f"no notification {notification_id}")
    return Delivery(status)


async def load_source(session: AsyncSession, row: NotificationRow) -> NotificationSource | None:
    """What its message is made of; None for a test, which tells of nothing."""
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
    """Keep the message: every try sends the same."""
    row.payload = dict(payload)
    await session.flush()


END = text("""
WITH tried AS (
    UPDATE notification_attempts SET duration_ms = :duration_ms, status_code = :status_code,
        error = :error, excerpt = :excerpt
    WHERE id = :attempt_id
)
UPDATE notifications SET status = :status, error = :error, next_attempt_at = :next_attempt_at,
    completed_at = CASE :status WHEN 'pending' THEN NULL ELSE now() END
WHERE id = :id AND status = 'pending'
RETURNING id
""")
"""Two tries at once, after a lost heartbeat, may both end; the first end that is one counts."""


async def end_attempt(
    session: AsyncSession,
    this: DeliveryAttempt,
    tried: AttemptResult,
    *,
    duration_ms: int,
    delay: timedelta | None,
) -> Delivery:
    """Write what came of a try, and tell how the delivery stands.

    `delay` is how long until the next try, None where there is none.
    """
    if tried.error is None:
        status = Delivery.DELIVERED
    else:
        status = Delivery.FAILED if delay is None else Delivery.PENDING
    parameters = {
        "id": this.notification.id,
        "attempt_id": this.attempt_id,
        "status": status,
        "error": tried.error and clean(tried.error),
        "status_code": tried.status_code,
        "excerpt": tried.excerpt and clean(tried.excerpt)[:EXCERPT],
        "duration_ms": duration_ms,
        "next_attempt_at": delay and datetime.now(UTC) + delay,
    }
    is_mine = await session.scalar(END, parameters) is not None
    return status if is_mine else await find_status(session, this.notification.id)
