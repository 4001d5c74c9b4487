"""Executions that wait for others: blocked until all of those are completed."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.states import PREREQUISITES, ExecutionStatus
from persistence import executions, sessions
from persistence.pages import Page, Window, newest
from persistence.starts import SESSION_BUSY
from persistence.tables.executions import ExecutionRow
from persistence.tables.prerequisites import PrerequisiteRow


async def standing(
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

READY = text("""
SELECT e.id, e.session_id FROM executions e
WHERE e.id = ANY(:ids) AND NOT EXISTS (
    SELECT FROM execution_prerequisites p JOIN executions o ON o.id = p.prerequisite_id
    WHERE p.execution_id = e.id AND o.status <> 'completed'
)
ORDER BY e.id
""")

RELEASE = text("""
WITH released AS (
    UPDATE executions SET status = :status, status_reason = :reason, event_seq = event_seq + 1
    WHERE id = ANY(:ids)
    RETURNING id, event_seq, status, status_reason
),
told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.status_changed',
        json_build_object('status', status, 'reason', status_reason)
    FROM released
)
INSERT INTO outbox (id, execution_id, kind, payload, ring_at)
SELECT uuidv7(), id, 'start', '{}', now() FROM released WHERE status = 'pending'
""")
"""Lets them start, which the relay does, or queue in their session."""


async def settle(session: AsyncSession, ended: UUID, status: ExecutionStatus) -> None:
    """Start what waited for nothing else than an execution that is completed.

    What waited for one that came to another end fails with it, and what waits for that, and so on.
    Thousands may wait, or stand in a line: this is part of an end, which has some seconds.
    """
    if status is ExecutionStatus.COMPLETED:
        await _release(session, await _waiting(session, ended))
        return
    failed = [ended]
    while failed:
        # Who began to wait for one of them while its lock was waited for is seen by the next look.
        parameters = {"ended": failed, "root": ended, "status": status}
        failed = list(await session.scalars(FAIL, parameters))


async def _waiting(session: AsyncSession, ended: UUID) -> Sequence[UUID]:
    """Who waits for an execution, locked.

    Of two prerequisites that end at once, the later one sees after this that the other has ended: a
    statement sees what was committed before it began, and the next begins when the lock is had.
    """
    ids = await session.scalars(
        select(ExecutionRow.id)
        .join(PrerequisiteRow, PrerequisiteRow.execution_id == ExecutionRow.id)
        .where(
            PrerequisiteRow.prerequisite_id == ended,
            ExecutionRow.status == ExecutionStatus.BLOCKED,
            ExecutionRow.status_reason == PREREQUISITES,
        )
        .order_by(ExecutionRow.id)
        .with_for_update(of=ExecutionRow, key_share=True)
    )
    return ids.all()


async def _release(session: AsyncSession, waiting: Sequence[UUID]) -> None:
    """Let those that wait for nothing else start, or queue in their session."""
    if not waiting:
        return
    ready = (await session.execute(READY, {"ids": waiting})).all()
    pending = {"status": ExecutionStatus.PENDING, "reason": None}
    free = [row.id for row in ready if row.session_id is None]
    await session.execute(RELEASE, {**pending, "ids": free})
    for row in ready:
        if row.session_id is None:
            continue
        await sessions.lock(session, row.session_id)
        is_busy = await executions.is_session_busy(session, row.session_id)
        queued = {"status": ExecutionStatus.BLOCKED, "reason": SESSION_BUSY}
        await session.execute(RELEASE, {**(queued if is_busy else pending), "ids": [row.id]})
