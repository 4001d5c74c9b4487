"""The end of an execution: one statement decides and writes it, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode, FencedOutError
from domain.ids import new_id
from domain.states import ExecutionStatus
from persistence.db import locks
from persistence.executions import fencing, prerequisites
from persistence.executions.cascade import cancel_children
from persistence.tables.executions import ExecutionRow

SENTENCES: Mapping[ErrorCode, str] = {
    ErrorCode.WORKER_ERROR: "The worker could not move the execution forward; its log says why.",
    ErrorCode.TERMINATED: "The workflow was terminated in Temporal.",
    ErrorCode.INVALID_DEFINITION: "The task's definition can't be run, or its agent is gone.",
}
"""For failures whose own sentence is not on record."""

REPORT_FAILED = "The report could not be made; the worker's log says why."


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended, or that a message came first."""

    status: ExecutionStatus
    error_code: ErrorCode | None
    has_unread_messages: bool
    parent_workflow_id: str | None
    cost_usd: Decimal
    event_seq: int


END = text(f"""
WITH lost AS (
    SELECT coalesce(sum(estimate_usd), 0) AS cost_usd FROM model_calls
    WHERE execution_id = :execution_id AND status = 'intended'
),
decided AS (
    SELECT id, CASE WHEN cancel_requested_at IS NULL THEN :status ELSE 'cancelled' END AS outcome
    FROM executions WHERE id = :execution_id
),
mine AS (
    UPDATE executions e SET
        status = outcome, status_reason = NULL, wakes_at = NULL, completed_at = now(),
        pause_requested_at = NULL,
        segment = :segment, attempt = :attempt, event_seq = event_seq + 1,
        cost_usd = e.cost_usd + lost.cost_usd,
        report_error = coalesce(:report_error, report_error),
        error_code = CASE outcome WHEN 'failed' THEN coalesce(:error_code, error_code) END,
        error_message = CASE outcome WHEN 'failed' THEN coalesce(error_message, :sentence) END
    FROM lost, decided
    WHERE e.id = decided.id AND {fencing.HOLDS} AND NOT (outcome = 'completed' AND EXISTS (
        SELECT FROM signals o
        WHERE o.execution_id = e.id AND o.kind = 'message' AND o.consumed_at IS NULL
    ))
    RETURNING e.*
),
requests AS (
    UPDATE input_requests r SET status = 'cancelled' FROM mine
    WHERE r.execution_id = mine.id AND r.status = 'open'
),
tools AS (
    UPDATE tool_calls t SET status = 'cancelled', completed_at = now(), is_error = true,
        output = 'The execution ended before this call did.'
    FROM mine WHERE t.execution_id = mine.id AND t.completed_at IS NULL
),
calls AS (
    UPDATE model_calls c SET status = 'lost', cost_usd = estimate_usd, usage_estimated = true
    FROM mine WHERE c.execution_id = mine.id AND c.status = 'intended'
),
heard AS (
    UPDATE signals o SET consumed_at = now() FROM mine
    WHERE o.execution_id = mine.id AND o.consumed_at IS NULL
),
told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.' || status, json_strip_nulls(json_build_object(
        'cost_usd', cost_usd, 'error_code', error_code, 'error_message', error_message,
        'reason', cancel_reason))
    FROM mine
),
audited AS (
    INSERT INTO audit_log (id, owner_id, action, entity_type, entity_id, after)
    SELECT :audit_id, user_id, 'execution.' || status, 'execution', id,
        json_build_object('status', status, 'error_code', error_code)
    FROM mine
),
answered AS (
    INSERT INTO signals (id, execution_id, kind, payload, wake_at)
    SELECT :signals_id, parent_execution_id, 'subtask_finished',
        json_build_object('execution_id', id), now() + interval '2 seconds'
    FROM mine WHERE parent_execution_id IS NOT NULL
    RETURNING pg_notify('perdure_wake', CAST(execution_id AS text))
),
next AS (
    UPDATE executions SET status = 'pending', status_reason = NULL, event_seq = event_seq + 1
    WHERE id = (
        SELECT id FROM executions
        WHERE session_id = (SELECT session_id FROM mine)
            AND status = 'blocked' AND status_reason = 'session_busy'
        ORDER BY id LIMIT 1
    )
    RETURNING id, event_seq
),
next_told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.status_changed',
        json_build_object('status', 'pending', 'reason', NULL)
    FROM next
),
next_started AS (
    INSERT INTO signals (id, execution_id, kind, payload, wake_at)
    SELECT uuidv7(), id, 'start', '{{}}', now() FROM next
)
SELECT mine.status, mine.error_code, mine.cost_usd, mine.event_seq,
    p.workflow_id AS parent_workflow_id, EXISTS (
        SELECT FROM execution_prerequisites WHERE prerequisite_id = mine.id
    ) AS is_awaited
FROM mine LEFT JOIN executions p ON p.id = mine.parent_execution_id
    LEFT JOIN answered ON true
""")  # noqa: S608 - a constant of ours
"""Decides and writes the end. A cancel that was accepted wins over a completion not yet written.

Nothing of a terminal execution stays open; calls without an answer are charged at their estimate.
Tool calls say that the execution ended: the model is told so where an operator resets it to them.
The next execution that waits for the session is let go; the relay starts it.
No row: fenced out, ended before, or a message must be answered first.

A statement of its own, behind the locks (`locks.for_end`): it sees who queued behind this execution
and what was said to it until then, and nobody does either before the end is written.
"""


async def finish(
    session: AsyncSession,
    execution_id: UUID,
    run: fencing.RunIdentity,
    *,
    status: ExecutionStatus,
    error_code: ErrorCode | None,
    report_failed: bool = False,
) -> Ended:
    """Write the end in one transaction, unless a message has come that must be answered first.

    Raises:
        FencedOutError: somebody else moves the execution.
        ConflictError: somebody began to wait for it in this very moment; try again.
    """
    code = error_code or (ErrorCode.WORKER_ERROR if status is ExecutionStatus.FAILED else None)
    parameters = {
        **run.token(),
        "execution_id": execution_id,
        "status": status,
        "error_code": code,
        "sentence": code and SENTENCES.get(code, f"The execution failed: {code}."),
        "report_error": REPORT_FAILED if report_failed else None,
        "audit_id": new_id(),
        "signals_id": new_id(),
    }
    falls = status is not ExecutionStatus.COMPLETED
    held = await locks.for_end(session, execution_id, falls=falls)
    written = (await session.execute(END, parameters)).one_or_none()
    if written is None:
        row = await fencing.locked(session, execution_id)
        is_known = run.run_id in row.run_epochs
        if ExecutionStatus(row.status).is_terminal and (is_known or not run.is_reset):
            return await _as_written(session, row)
        await fencing.admit(session, row, run)
        written = (await session.execute(END, parameters)).one_or_none()
        if written is None:
            return await _refused(session, row, run)
    if written.status == ExecutionStatus.COMPLETED:
        if written.is_awaited:
            await prerequisites.release(session, execution_id, held)
        return _ended(written)
    of_mine = ExecutionRow.parent_execution_id == execution_id
    await cancel_children(session, of_mine, reason=f"the parent is {written.status}")
    if written.is_awaited:
        await prerequisites.fail(session, execution_id, ExecutionStatus(written.status))
    return _ended(written)


def _ended(written: Row[Any]) -> Ended:
    return Ended(
        status=ExecutionStatus(written.status),
        error_code=None if written.error_code is None else ErrorCode(written.error_code),
        has_unread_messages=False,
        parent_workflow_id=written.parent_workflow_id,
        cost_usd=written.cost_usd,
        event_seq=written.event_seq,
    )


AS_WRITTEN = text("""
SELECT e.status, e.error_code, e.cost_usd, e.event_seq, p.workflow_id AS parent_workflow_id
FROM executions e LEFT JOIN executions p ON p.id = e.parent_execution_id
WHERE e.id = :execution_id
""")


async def _as_written(session: AsyncSession, row: ExecutionRow) -> Ended:
    return _ended((await session.execute(AS_WRITTEN, {"execution_id": row.id})).one())


async def _refused(session: AsyncSession, row: ExecutionRow, run: fencing.RunIdentity) -> Ended:
    """A message came first, or another attempt is ahead of this one."""
    if (run.segment, run.attempt) <= (row.segment, row.attempt):
        raise FencedOutError("Another attempt moves this execution.")
    ended = await _as_written(session, row)
    return Ended(
        status=ended.status,
        error_code=None,
        has_unread_messages=True,
        parent_workflow_id=None,
        cost_usd=ended.cost_usd,
        event_seq=ended.event_seq,
    )
