"""The steps around the loop: an execution's session, its first message, its end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode
from domain.events import Event
from domain.states import ExecutionStatus
from persistence import events, outbox, runs
from persistence.cancellation import cancel_children
from persistence.tables.audit import AuditRow
from persistence.tables.executions import ExecutionRow, PrefixRow
from persistence.tables.sessions import MessageRow, SessionRow
from persistence.tables.tasks import TaskRow

SENTENCES: Mapping[ErrorCode, str] = {
    ErrorCode.WORKER_ERROR: "The worker could not move the execution forward; its log says why.",
    ErrorCode.INVALID_DEFINITION: "The task's definition can't be run.",
}
"""For failures whose own sentence is not on record."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended, or that a message came first."""

    status: ExecutionStatus
    error_code: ErrorCode | None
    is_unread: bool
    parent_workflow_id: str | None
    cost_usd: Decimal
    event_seq: int


async def create_session(session: AsyncSession, execution_id: UUID, run: runs.RunIdentity) -> bool:
    """Mark the execution running and give it a session. False: it has ended, do nothing."""
    row = await runs.locked(session, execution_id)
    is_new = run.run_id not in row.run_epochs
    if ExecutionStatus(row.status).is_terminal and not (is_new and run.is_reset):
        return False
    if is_new:
        await runs.enter(session, row, run)
    row.first_run_id = row.first_run_id or run.run_id
    if row.session_id is None:
        row.session_id = await _new_session(session, row)
    if row.status == ExecutionStatus.PENDING:
        row.status, row.started_at = ExecutionStatus.RUNNING, datetime.now(UTC)
        events.tell(session, row, Event("execution.started"))
    await outbox.consume_start(session, row.id)
    return True


async def _new_session(session: AsyncSession, row: ExecutionRow) -> UUID:
    conversation = SessionRow(
        user_id=row.user_id,
        name=f"Task: {row.title} ({row.trigger_type})",
        agent_id=row.agent_id,
    )
    session.add(conversation)
    await session.flush()
    return conversation.id


async def pinned(session: AsyncSession, row: ExecutionRow) -> int | None:
    """The number of the prompt's message if the prompt is written already, else None."""
    if row.prefix_sha256 is None:
        return None
    return await session.scalar(
        select(func.min(MessageRow.seq)).where(MessageRow.execution_id == row.id)
    )


async def last_message(
    session: AsyncSession, session_id: UUID | None
) -> tuple[int, Sequence[Mapping[str, Any]]]:
    """Number and blocks of the session's newest message when it is the model's; else no blocks."""
    found = (
        await session.execute(
            select(MessageRow.seq, MessageRow.role, MessageRow.content)
            .where(MessageRow.session_id == session_id, MessageRow.superseded_at.is_(None))
            .order_by(MessageRow.seq.desc())
            .limit(1)
        )
    ).one_or_none()
    if found is None:
        return 0, ()
    return found.seq, json.loads(found.content) if found.role == "assistant" else ()


async def pin(
    session: AsyncSession, row: ExecutionRow, *, prefix_sha256: bytes, prefix: str
) -> None:
    """Store the prefix once per content and bind the execution to it."""
    await session.execute(
        upsert(PrefixRow)
        .values(sha256=prefix_sha256, body=prefix)
        .on_conflict_do_nothing(index_elements=[PrefixRow.sha256])
    )
    row.prefix_sha256 = prefix_sha256


async def append_prompt(
    session: AsyncSession, row: ExecutionRow, *, seq: int, content: str
) -> None:
    """Write the user message that carries the prompt."""
    session.add(
        MessageRow(
            session_id=row.session_id, execution_id=row.id, seq=seq, role="user", content=content
        )
    )
    row.total_messages += 1
    events.tell(session, row, Event("message.appended", {"seq": seq, "role": "user"}))


async def finish(
    session: AsyncSession,
    execution_id: UUID,
    run: runs.RunIdentity,
    *,
    status: ExecutionStatus,
    error_code: ErrorCode | None,
    report_failed: bool = False,
) -> Ended:
    """Write the end in one transaction, unless a message has come that must be answered first.

    A cancel that was accepted wins over a completion that has not been written.
    """
    row = await runs.locked(session, execution_id)
    is_reset_now = run.is_reset and run.run_id not in row.run_epochs
    if ExecutionStatus(row.status).is_terminal and not is_reset_now:
        return await _ended(session, row)
    unread = await outbox.unread(session, execution_id)
    is_answerable = status is ExecutionStatus.COMPLETED and row.cancel_requested_at is None
    if is_answerable and any(said.kind == outbox.Said.MESSAGE for said in unread):
        return await _ended(session, row, is_unread=True)
    await runs.enter(session, row, run)
    if row.cancel_requested_at is not None:
        status, error_code = ExecutionStatus.CANCELLED, None
    await outbox.consume(session, [said.id for said in unread])
    row.cost_usd += await session.scalar(CLOSE_OPEN_THINGS, {"execution_id": row.id}) or 0
    if report_failed:
        row.report_error = "The report could not be made; the worker's log says why."
    _write_end(row, status, error_code)
    events.tell(session, row, _last_event(row))
    session.add(_audit(row))
    if status is not ExecutionStatus.COMPLETED:
        of_mine = ExecutionRow.parent_execution_id == row.id
        await cancel_children(session, of_mine, reason=f"the parent is {status}")
    await _tell_parent(session, row)
    await promote_next(session, row.session_id)
    return await _ended(session, row)


def _write_end(row: ExecutionRow, status: ExecutionStatus, code: ErrorCode | None) -> None:
    row.status, row.status_reason, row.wakes_at = status, None, None
    row.completed_at = datetime.now(UTC)
    if status is not ExecutionStatus.FAILED:
        row.error_code = row.error_message = None
        return
    row.error_code = code or row.error_code or ErrorCode.WORKER_ERROR
    row.error_message = row.error_message or SENTENCES.get(
        ErrorCode(row.error_code), f"The execution failed: {row.error_code}."
    )


def _last_event(row: ExecutionRow) -> Event:
    data: dict[str, Any] = {"cost_usd": float(row.cost_usd)}
    if row.error_code is not None:
        data |= {"error_code": row.error_code, "error_message": row.error_message}
    if row.cancel_reason is not None:
        data["reason"] = row.cancel_reason
    return Event(f"execution.{row.status}", data)


def _audit(row: ExecutionRow) -> AuditRow:
    return AuditRow(
        action=f"execution.{row.status}",
        entity_type="execution",
        entity_id=row.id,
        after={"status": row.status, "error_code": row.error_code},
    )


CLOSE_OPEN_THINGS = text("""
WITH requests AS (
    UPDATE input_requests SET status = 'cancelled'
    WHERE execution_id = :execution_id AND status = 'open'
),
tools AS (
    UPDATE tool_calls SET status = 'cancelled', completed_at = now(), is_error = true,
        output = 'The execution ended before this call did.'
    WHERE execution_id = :execution_id AND completed_at IS NULL
),
calls AS (
    UPDATE model_calls SET status = 'lost', cost_usd = estimate_usd, usage_estimated = true
    WHERE execution_id = :execution_id AND status = 'intended'
    RETURNING cost_usd
)
SELECT coalesce(sum(cost_usd), 0) FROM calls
""")
"""Nothing of a terminal execution stays open; returns what calls without an answer are charged.

The output is what the model is told where an operator resets the execution to such a call.
"""


async def _tell_parent(session: AsyncSession, row: ExecutionRow) -> None:
    """Write the subtask's end for its parent. No lock is taken: parents wait, they don't end."""
    if row.parent_execution_id is not None:
        await outbox.say(
            session,
            row.parent_execution_id,
            outbox.Said.SUBTASK_FINISHED,
            {"execution_id": str(row.id)},
        )


async def promote_next(session: AsyncSession, session_id: UUID | None) -> None:
    """Let the next execution that waits for this session start; the relay starts it."""
    row = await session.scalar(
        select(ExecutionRow)
        .where(
            ExecutionRow.session_id == session_id,
            ExecutionRow.status == ExecutionStatus.BLOCKED,
            ExecutionRow.status_reason == "session_busy",
        )
        .order_by(ExecutionRow.id)
        .limit(1)
        .with_for_update(key_share=True)
    )
    if row is None:
        return
    row.status, row.status_reason = ExecutionStatus.PENDING, None
    await session.flush()
    await events.append(
        session, row.id, Event("execution.status_changed", {"status": "pending", "reason": None})
    )
    tags = await session.scalar(select(TaskRow.tags).where(TaskRow.id == row.task_id))
    await outbox.say(
        session, row.id, outbox.Said.START, {"tags": tags or []}, relay_after=timedelta(0)
    )


async def _ended(session: AsyncSession, row: ExecutionRow, *, is_unread: bool = False) -> Ended:
    parent = None
    if row.parent_execution_id is not None:
        parent = await session.scalar(
            select(ExecutionRow.workflow_id).where(ExecutionRow.id == row.parent_execution_id)
        )
    return Ended(
        status=ExecutionStatus(row.status),
        error_code=None if row.error_code is None else ErrorCode(row.error_code),
        is_unread=is_unread,
        parent_workflow_id=parent,
        cost_usd=row.cost_usd,
        event_seq=row.event_seq,
    )
