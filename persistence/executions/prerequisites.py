"""Executions that wait for others: blocked until all of those are completed."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ConflictError
from domain.states import PREREQUISITES, ExecutionStatus
from persistence.db.paging import Page, Window, newest
from persistence.tables.executions import ExecutionRow
from persistence.tables.prerequisites import PrerequisiteRow


async def statuses(
    session: AsyncSession, user_id: UUID, ids: Sequence[UUID]
) -> Mapping[UUID, ExecutionStatus]:
    """How those of these executions stand that are the user's.

    None of them ends before this transaction does, so whoever is to wait is written in time.
    """
    result = await session.execute(
        select(ExecutionRow.id, ExecutionRow.status)
        .where(ExecutionRow.id.in_(ids), ExecutionRow.user_id == user_id)
        .order_by(ExecutionRow.id)
        .with_for_update(read=True)
    )
    return {row.id: ExecutionStatus(row.status) for row in result}


async def require(session: AsyncSession, execution_id: UUID, ids: Sequence[UUID]) -> None:
    """Note what a new execution waits for, or has waited for."""
    if ids:
        values = [{"execution_id": execution_id, "prerequisite_id": other} for other in ids]
        await session.execute(insert(PrerequisiteRow), values)


async def page(session: AsyncSession, execution_id: UUID, window: Window) -> Page[ExecutionRow]:
    """What an execution waits for, or has waited for."""
    of_it = select(PrerequisiteRow.prerequisite_id).where(
        PrerequisiteRow.execution_id == execution_id
    )
    return await newest(
        session, ExecutionRow, ExecutionRow.id, [ExecutionRow.id.in_(of_it)], window
    )


FAIL = text("""
WITH RECURSIVE doomed AS (
    SELECT p.execution_id AS id
    FROM execution_prerequisites p JOIN executions e ON e.id = p.execution_id
    WHERE p.prerequisite_id = ANY(:ended)
        AND e.status = 'blocked' AND e.status_reason = 'prerequisites'
    UNION
    SELECT p.execution_id
    FROM doomed JOIN execution_prerequisites p ON p.prerequisite_id = doomed.id
        JOIN executions e ON e.id = p.execution_id
    WHERE e.status = 'blocked' AND e.status_reason = 'prerequisites'
),
reasons AS (
    SELECT DISTINCT ON (p.execution_id) p.execution_id AS id, p.prerequisite_id AS because
    FROM doomed JOIN execution_prerequisites p ON p.execution_id = doomed.id
    WHERE p.prerequisite_id = ANY(:ended) OR p.prerequisite_id IN (SELECT id FROM doomed)
    ORDER BY p.execution_id, p.prerequisite_id
),
held AS (
    SELECT e.id, reasons.because FROM executions e JOIN reasons ON reasons.id = e.id
    WHERE e.status = 'blocked' AND e.status_reason = 'prerequisites'
    ORDER BY e.id FOR NO KEY UPDATE OF e
),
failed AS (
    UPDATE executions e SET
        status = 'failed', status_reason = NULL, error_code = 'prerequisite_failed',
        error_message = 'It waited for execution ' || because || ', which is '
            || CASE because WHEN :root THEN :status ELSE 'failed' END || '.',
        completed_at = now(), pause_requested_at = NULL, event_seq = event_seq + 1
    FROM held WHERE e.id = held.id
    RETURNING e.id, e.user_id, e.event_seq, e.error_code, e.error_message
),
told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.failed', json_build_object(
        'cost_usd', 0, 'error_code', error_code, 'error_message', error_message)
    FROM failed
),
audited AS (
    INSERT INTO audit_log (id, owner_id, action, entity_type, entity_id, after)
    SELECT uuidv7(), user_id, 'execution.failed', 'execution', id,
        json_build_object('status', 'failed', 'error_code', error_code)
    FROM failed
)
SELECT id FROM failed
""")
"""Fails what waits for these, what waits for that, and so on: however long the line is, at once."""

RELEASE = text("""
WITH ready AS (
    SELECT e.id, e.session_id IS NULL OR (
        row_number() OVER (PARTITION BY e.session_id ORDER BY e.id) = 1 AND NOT EXISTS (
            SELECT FROM executions o
            WHERE o.session_id = e.session_id
                AND o.status NOT IN ('completed', 'failed', 'cancelled')
                AND o.status_reason IS DISTINCT FROM 'prerequisites'
        )
    ) AS is_free
    FROM executions e
    WHERE e.id = ANY(:ids) AND NOT EXISTS (
        SELECT FROM execution_prerequisites p JOIN executions o ON o.id = p.prerequisite_id
        WHERE p.execution_id = e.id AND o.status <> 'completed'
    )
),
released AS (
    UPDATE executions e SET
        status = CASE WHEN is_free THEN 'pending' ELSE 'blocked' END,
        status_reason = CASE WHEN is_free THEN NULL ELSE 'session_busy' END,
        event_seq = event_seq + 1
    FROM ready WHERE e.id = ready.id
    RETURNING e.id, e.event_seq, e.status, e.status_reason
),
told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.status_changed',
        json_build_object('status', status, 'reason', status_reason)
    FROM released
)
INSERT INTO signals (id, execution_id, kind, payload, wake_at)
SELECT uuidv7(), id, 'start', '{}', now() FROM released WHERE status = 'pending'
""")
"""Lets those that wait for nothing else start, which the relay does, or queue in their session."""


async def release(session: AsyncSession, completed: UUID, sessions: Collection[UUID]) -> None:
    """Start what waited for nothing else than an execution that is completed, or let it queue.

    `sessions` are locked. Thousands may wait: this is part of an end, which has some seconds.

    Raises:
        ConflictError: somebody has begun to wait whose session is not among them; try again.
    """
    waiting = await _waiting(session, completed)
    if any(row.session_id not in (None, *sessions) for row in waiting):
        raise ConflictError("An execution began to wait for this one while its end was written.")
    if waiting:
        await session.execute(RELEASE, {"ids": [row.id for row in waiting]})


async def fail(session: AsyncSession, ended: UUID, status: ExecutionStatus) -> None:
    """Fail what waited for an execution that failed or was cancelled, what waits for that, and on.

    Thousands may stand in a line: this is part of an end, which has some seconds.
    """
    failed = [ended]
    while failed:
        # Who began to wait for one of them while its lock was waited for is seen by the next look.
        parameters = {"ended": failed, "root": ended, "status": status}
        failed = list(await session.scalars(FAIL, parameters))


async def _waiting(session: AsyncSession, ended: UUID) -> Sequence[Row[UUID, UUID | None]]:
    """Who waits for an execution, locked, with their sessions.

    Of two prerequisites that end at once, the later one sees after this that the other has ended: a
    statement sees what was committed before it began, and the next begins when the lock is had.
    """
    rows = await session.execute(
        select(ExecutionRow.id, ExecutionRow.session_id)
        .join(PrerequisiteRow, PrerequisiteRow.execution_id == ExecutionRow.id)
        .where(
            PrerequisiteRow.prerequisite_id == ended,
            ExecutionRow.status == ExecutionStatus.BLOCKED,
            ExecutionRow.status_reason == PREREQUISITES,
        )
        .order_by(ExecutionRow.id)
        .with_for_update(of=ExecutionRow, key_share=True)
    )
    return rows.all()
