"""Saying something to an execution: a row first, then a signal that only rings the bell."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import new_id
from domain.states import ExecutionStatus
from persistence.database import Database, to_json
from persistence.live import BELL
from persistence.tables.executions import ExecutionRow
from persistence.tables.outbox import OutboxRow

FIRST_RING = timedelta(seconds=2)
"""Whoever writes a row rings at once; the relay takes over this much later (design.md, 4)."""

NEXT_RING = timedelta(seconds=30)
"""Between two rings of the relay: a busy worker has this long to come to the row (chosen)."""


KEPT_FOR = timedelta(days=1)
"""Rows that were taken in stay this long, for who wants to see what was said (chosen)."""


class Said(StrEnum):
    """Kinds of outbox rows."""

    START = "start"
    ANSWER = "answer"
    MESSAGE = "message"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    SUBTASK_FINISHED = "subtask_finished"


HOLDING = (
    ExecutionStatus.BLOCKED,
    ExecutionStatus.WAITING_FOR_USER,
    ExecutionStatus.WAITING_FOR_SUBTASK,
    ExecutionStatus.PAUSED,
)
"""States in which a message lies until something else has come, so that nobody is rung for it."""


SAY = text("""
INSERT INTO outbox (id, execution_id, kind, payload, ring_at)
VALUES (:id, :execution_id, :kind, CAST(:payload AS json), clock_timestamp() + :relay_after)
RETURNING CASE WHEN kind <> 'start' THEN pg_notify(:bell, CAST(execution_id AS text)) END
""")
"""By the database's clock, by which it is due: those of gateways and workers may differ."""


async def say(
    session: AsyncSession,
    execution_id: UUID,
    kind: Said,
    payload: dict[str, Any] | None = None,
    *,
    relay_after: timedelta = FIRST_RING,
) -> None:
    """Write the row; the caller holds the execution's row lock and signals after its commit.

    A running loop hears of it by notification at once, except of its own start. Whoever does not
    ring by himself leaves it to the relay with `relay_after` zero.
    """
    said = {"id": new_id(), "execution_id": execution_id, "kind": kind}
    how = {"payload": to_json(payload or {}), "relay_after": relay_after, "bell": BELL}
    await session.execute(SAY, {**said, **how})


async def unread(session: AsyncSession, execution_id: UUID) -> Sequence[OutboxRow]:
    """What was said and not consumed, oldest first."""
    rows = await session.scalars(
        select(OutboxRow)
        .where(OutboxRow.execution_id == execution_id, OutboxRow.consumed_at.is_(None))
        .order_by(OutboxRow.id)
    )
    return rows.all()


async def consume(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Mark rows as taken in; in the transaction that applies them."""
    if ids:
        await session.execute(
            update(OutboxRow).where(OutboxRow.id.in_(ids)).values(consumed_at=text("now()"))
        )


async def consume_start(session: AsyncSession, execution_id: UUID) -> None:
    """Mark an execution's start as taken in."""
    await session.execute(
        update(OutboxRow)
        .where(
            OutboxRow.execution_id == execution_id,
            OutboxRow.kind == Said.START,
            OutboxRow.consumed_at.is_(None),
        )
        .values(consumed_at=text("now()"))
        .execution_options(synchronize_session=False)
    )


DISPATCHED = text("""
UPDATE outbox SET ring_at = now() + :next_ring
WHERE execution_id = :execution_id AND kind = 'start' AND consumed_at IS NULL
""")


async def dispatched(database: Database, execution_id: UUID) -> None:
    """Note that Temporal has the workflow: a busy worker comes to it later than the first ring."""
    await database.direct.run(DISPATCHED, {"execution_id": execution_id, "next_ring": NEXT_RING})


PUT_AWAY = text("""
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE consumed_at < now() - CAST(:kept AS interval)
    ORDER BY consumed_at LIMIT :batch FOR UPDATE SKIP LOCKED
)
RETURNING 1
""")


async def put_away(session: AsyncSession, *, batch: int) -> int:
    """Delete up to `batch` rows that were taken in long ago; returns how many there were."""
    gone = await session.execute(PUT_AWAY, {"batch": batch, "kept": KEPT_FOR})
    return len(gone.all())


async def due(session: AsyncSession, *, limit: int) -> Sequence[tuple[OutboxRow, ExecutionRow]]:
    """Rows to ring for now, with their executions; pushes their next ring back.

    `SKIP LOCKED`, so that any number of relays share the work.
    """
    result = await session.execute(
        select(OutboxRow, ExecutionRow)
        .join(ExecutionRow, ExecutionRow.id == OutboxRow.execution_id)
        .where(
            OutboxRow.consumed_at.is_(None),
            OutboxRow.ring_at < func.now(),
            ~(ExecutionRow.status.in_(HOLDING) & (OutboxRow.kind == Said.MESSAGE)),
        )
        .order_by(OutboxRow.ring_at)
        .limit(limit)
        .with_for_update(of=OutboxRow, skip_locked=True)
    )
    pairs = [(row.OutboxRow, row.ExecutionRow) for row in result]
    await session.execute(
        update(OutboxRow)
        .where(OutboxRow.id.in_([outbox.id for outbox, _ in pairs]))
        .values(ring_at=func.now() + NEXT_RING)
        .execution_options(synchronize_session=False)
    )
    return pairs
