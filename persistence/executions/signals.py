"""Signals to executions: a row first, then a Temporal signal that only wakes the workflow."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.events import Event
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.db import sql
from persistence.db.database import Database, to_json
from persistence.db.live_updates import WAKE_CHANNEL
from persistence.tables.executions import ExecutionRow, SignalRow

_SQL = sql.load("executions/step_log.sql")

FIRST_WAKE = timedelta(seconds=2)
"""The writer of a row wakes the workflow at once; after this time the relay does (chosen)."""

NEXT_WAKE = timedelta(seconds=30)
"""Between two wake-ups by the relay: time for a busy worker to read the row (chosen)."""

DISPATCHED_WAKE = timedelta(minutes=5)
"""As `NEXT_WAKE`, for a start that Temporal has accepted: the execution may wait for a free slot,
and the reconciler starts a workflow that Temporal has lost (chosen)."""

MOST_CLOSING = 100
"""While this many ends of external executions are newer than `FIRST_WAKE`, or sent and not yet
consumed, the relay sends no further ones: to close their workflows takes the time of the processor
that their workers need to end the next executions (chosen: a batch of the relay)."""

LAST_CLOSING = timedelta(minutes=2)
"""After this time the relay sends an end in any case (chosen)."""

KEPT_FOR = timedelta(days=1)
"""Consumed rows are kept this long, for debugging (chosen)."""


UNREAD_UNTIL_WOKEN = (
    ExecutionStatus.BLOCKED,
    ExecutionStatus.WAITING_FOR_USER,
    ExecutionStatus.WAITING_FOR_SUBTASK,
    ExecutionStatus.PAUSED,
)
"""States in which a message does not wake the workflow: it is read with the next other signal."""


APPEND_SIGNAL = text("""
INSERT INTO signals (id, execution_id, kind, payload, wake_at)
VALUES (:id, :execution_id, :kind, CAST(:payload AS json), clock_timestamp() + :relay_after)
RETURNING CASE WHEN kind <> 'start' THEN pg_notify(:wake_channel, CAST(execution_id AS text)) END
""")
"""With the database's clock, which decides when it is due: other clocks may differ."""


async def append_signal(
    session: AsyncSession,
    execution_id: UUID,
    kind: SignalKind,
    payload: dict[str, Any] | None = None,
    *,
    relay_after: timedelta = FIRST_WAKE,
    event: Event | None = None,
) -> None:
    """Write the row; the caller holds the execution's row lock, and wakes it after the commit.

    `event` is appended to the timeline in the same statement.

    A running loop is notified at once, except of a start. A caller that does not wake the workflow
    passes zero for `relay_after`, and the relay wakes it.
    """
    parameters = {
        "id": new_id(),
        "execution_id": execution_id,
        "kind": kind,
        "payload": to_json(payload or {}),
        "relay_after": relay_after,
        "wake_channel": WAKE_CHANNEL,
    }
    if event is None:
        await session.execute(APPEND_SIGNAL, parameters)
    else:
        written = {"event_type": event.type, "event_data": to_json(event.data)}
        await session.execute(_SQL["append_signal_and_event"], {**parameters, **written})


async def list_unread(session: AsyncSession, execution_id: UUID) -> Sequence[SignalRow]:
    """The signals that are not consumed, oldest first."""
    rows = await session.scalars(
        select(SignalRow)
        .where(SignalRow.execution_id == execution_id, SignalRow.consumed_at.is_(None))
        .order_by(SignalRow.id)
    )
    return rows.all()


async def consume(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Mark rows as consumed, in the transaction that applies them."""
    if ids:
        await session.execute(
            update(SignalRow).where(SignalRow.id.in_(ids)).values(consumed_at=text("now()"))
        )


async def consume_all(session: AsyncSession, execution_id: UUID) -> None:
    """Mark all signals of a locked execution as consumed, for a reader of its state as a whole."""
    await session.execute(
        update(SignalRow)
        .where(SignalRow.execution_id == execution_id, SignalRow.consumed_at.is_(None))
        .values(consumed_at=text("now()"))
        .execution_options(synchronize_session=False)
    )


async def consume_start(session: AsyncSession, execution_id: UUID) -> None:
    """Mark an execution's start as consumed."""
    await _consume_kind(session, execution_id, SignalKind.START)


async def consume_end(session: AsyncSession, execution_id: UUID) -> None:
    """Mark the end of an external execution as consumed: its workflow knows of it."""
    await _consume_kind(session, execution_id, SignalKind.ENDED)


async def _consume_kind(session: AsyncSession, execution_id: UUID, kind: SignalKind) -> None:
    await session.execute(
        update(SignalRow)
        .where(
            SignalRow.execution_id == execution_id,
            SignalRow.kind == kind,
            SignalRow.consumed_at.is_(None),
        )
        .values(consumed_at=text("now()"))
        .execution_options(synchronize_session=False)
    )


MARK_DISPATCHED = text("""
UPDATE signals SET wake_at = now() + :next_wake WHERE id IN (
    SELECT id FROM signals
    WHERE execution_id = ANY(CAST(:execution_ids AS uuid[])) AND kind = 'start'
        AND consumed_at IS NULL
    FOR UPDATE SKIP LOCKED
)
""")
"""Without the rows that a start is consuming."""


async def mark_dispatched(database: Database, execution_ids: Sequence[UUID]) -> None:
    """Store that Temporal has the workflows, so that the relay waits longer for a busy worker."""
    parameters = {"execution_ids": execution_ids, "next_wake": DISPATCHED_WAKE}
    await database.raw.run(MARK_DISPATCHED, parameters)


MARK_WOKEN = text("""
UPDATE signals SET wake_at = now() + :next_wake WHERE id IN (
    SELECT id FROM signals JOIN unnest(CAST(:execution_ids AS uuid[]), CAST(:ages AS interval[]))
        AS woken (execution_id, age) USING (execution_id)
    WHERE kind NOT IN ('start', 'ended') AND consumed_at IS NULL
        AND wake_at < now() - age + :first_wake
    FOR UPDATE OF signals SKIP LOCKED
)
""")
"""Without the rows that a reader is consuming, which it locks in another order, and without those
that were written after the wake-up: they may need one of their own."""


async def mark_woken(database: Database, woken: Mapping[UUID, timedelta]) -> None:
    """Store that Temporal has signalled the workflows, so that the relay does not repeat it soon.

    `woken` is how long ago each of them was signalled. A busy worker reads the signal later than
    `FIRST_WAKE`, and each repeated signal would take it more time.
    """
    parameters = {
        "execution_ids": list(woken),
        "ages": list(woken.values()),
        "next_wake": NEXT_WAKE,
        "first_wake": FIRST_WAKE,
    }
    await database.raw.run(MARK_WOKEN, parameters)


DELETE_CONSUMED = text("""
DELETE FROM signals WHERE id IN (
    SELECT id FROM signals WHERE consumed_at < now() - CAST(:kept AS interval)
    ORDER BY consumed_at LIMIT :batch FOR UPDATE SKIP LOCKED
)
RETURNING 1
""")


async def delete_consumed(session: AsyncSession, *, batch: int) -> int:
    """Delete up to `batch` rows that were consumed long ago; returns how many."""
    deleted = await session.execute(DELETE_CONSUMED, {"batch": batch, "kept": KEPT_FOR})
    return len(deleted.all())


_CLOSING = (
    select(SignalRow.id)
    .where(
        SignalRow.consumed_at.is_(None),
        SignalRow.wake_at > func.now(),
        SignalRow.kind == SignalKind.ENDED,
    )
    .limit(MOST_CLOSING)
    .subquery()
)
"""The ends that are not consumed and whose wake-up is in the future, up to `MOST_CLOSING`."""

_UNSENT = and_(
    SignalRow.kind == SignalKind.ENDED,
    SignalRow.wake_at > func.now() - LAST_CLOSING,
    select(func.count()).select_from(_CLOSING).scalar_subquery() >= MOST_CLOSING,
)
"""The ends that the relay does not send yet; see `MOST_CLOSING`."""

_IS_DUE = and_(SignalRow.consumed_at.is_(None), SignalRow.wake_at < func.now())

_DUE = (
    select(SignalRow, ExecutionRow)
    .join(ExecutionRow, ExecutionRow.id == SignalRow.execution_id)
    .where(
        _IS_DUE,
        ~_UNSENT,
        ~(ExecutionRow.status.in_(UNREAD_UNTIL_WOKEN) & (SignalRow.kind == SignalKind.MESSAGE)),
    )
    .order_by(SignalRow.wake_at)
    .with_for_update(of=SignalRow, skip_locked=True)
)


IS_ANY_DUE = select(exists().where(_IS_DUE).label("is_any"))


async def is_any_due(database: Database) -> bool:
    """Whether `take_due` may find a row. Usually it does not, and it needs a session."""
    (found,) = await database.raw.rows(IS_ANY_DUE, {})
    is_any: bool = found.is_any
    return is_any


async def take_due(
    session: AsyncSession, *, limit: int
) -> Sequence[tuple[SignalRow, ExecutionRow]]:
    """Rows whose wake-up is due, with their executions; sets their next wake-up.

    With `SKIP LOCKED` any number of relays share the work. See `MOST_CLOSING` for ends.
    """
    result = await session.execute(_DUE.limit(limit))
    pairs = [(row.SignalRow, row.ExecutionRow) for row in result]
    if pairs:
        await session.execute(
            update(SignalRow)
            .where(SignalRow.id.in_([row.id for row, _ in pairs]))
            .values(wake_at=func.now() + NEXT_WAKE)
            .execution_options(synchronize_session=False)
        )
    return pairs
