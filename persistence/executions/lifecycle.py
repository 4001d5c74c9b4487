"""Changes of an execution's status: start, release, end and reopen; requests to cancel or pause.

`domain.executions.states.TRANSITIONS` decides which changes are allowed: the SQL conditions are
built from it. The steps of the loop and the leases of workers change the status too, under the same
table (`step_log.py`, `leases.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ConflictError, ErrorCode, ExecutionTerminalError
from domain.executions.events import Event
from domain.executions.signals import SignalKind
from domain.executions.states import (
    ACTIVE,
    TERMINAL,
    WORKER_BLOCKED,
    ExecutionStatus,
    require_transition,
    states_before,
)
from domain.ids import new_id
from domain.plans.plan import STEP_TRIGGER
from persistence.db import sql
from persistence.db.database import Database
from persistence.db.live_updates import WAKE_CHANNEL
from persistence.db.raw_connection import Connected, fetch_rows
from persistence.executions import events, prompts
from persistence.executions.fencing import MAY_END, RunIdentity
from persistence.executions.signals import FIRST_WAKE, append_signal
from persistence.ledger.audit import APPEND
from persistence.tables.executions import ExecutionEventRow, ExecutionRow

NOT_STARTED = (ExecutionStatus.PENDING, ExecutionStatus.BLOCKED)
"""States in which no loop runs yet; the loop reads from the row that a pause was requested."""


def _change(before: ExecutionStatus, after: ExecutionStatus) -> str:
    """The SQL condition of a change; refused at import if the table does not allow the change."""
    require_transition(before, after)
    return f"status = '{before}'"


TERMINAL_STATUSES = sql.quote(TERMINAL)
"""For SQL conditions."""

_ALLOWED_ENDS = " ".join(
    f"WHEN '{after}' THEN e.status IN ({sql.quote(states_before(after))})"
    for after in sorted(TERMINAL)
)


_GIVEN = """(
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:error_messages AS text[]))
        LIMIT cardinality(CAST(:ids AS uuid[]))
    ) AS given (id, error_message) JOIN executions e USING (id)"""
"""The limit changes nothing but the estimate: in the plan that Postgres caches it expects one row
instead of ten, else it makes a new plan each time (0.3 ms, measured 2026-11-28)."""

_WITH_SESSION = """new_session AS (
    INSERT INTO sessions (id, user_id, name, agent_id, is_interactive)
    SELECT session_id, user_id, 'Task: ' || title || ' (' || trigger_type || ')', agent_id, false
    FROM execution WHERE session_id = :new_session_id
),
consumed AS (
    UPDATE signals SET consumed_at = now() FROM execution
    WHERE signals.execution_id = execution.id AND signals.kind = 'start' AND consumed_at IS NULL
)"""
"""Gives an `execution` that starts a session, unless it continues one, and consumes its signal."""

_SHOWN = (
    "ended.id, ended.status, ended.error_code, ended.cost_usd, ended.total_turns, ended.event_seq"
)


def load_statements(
    *, given: str = _GIVEN, shown: str = _SHOWN, reported: str = "", audit: str = APPEND
) -> Mapping[str, TextClause]:
    """The statements of `lifecycle.sql`, of which `end` can be made in other ways.

    `given` are the executions `e` to end, with an error message `given`; `shown` are the columns of
    `ended` that are returned; `reported` are more columns to set, and `audit` the beginning of a
    statement that appends to the audit log.
    """
    return sql.load(
        "executions/lifecycle.sql",
        given=given,
        shown=shown,
        reported=reported,
        audit=audit,
        active=sql.quote(ACTIVE),
        terminal=TERMINAL_STATUSES,
        allowed_ends=_ALLOWED_ENDS,
        may_end=MAY_END,
        pending_to_running=_change(ExecutionStatus.PENDING, ExecutionStatus.RUNNING),
        blocked_to_pending=_change(ExecutionStatus.BLOCKED, ExecutionStatus.PENDING),
        worker_blocked=sql.quote([WORKER_BLOCKED]),
        step_trigger=sql.quote([STEP_TRIGGER]),
        with_session=_WITH_SESSION,
        select_source=prompts.select_source("execution").strip(),
    )


_SQL = load_statements()


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended, or that a message must be answered first."""

    id: UUID
    status: ExecutionStatus
    error_code: ErrorCode | None
    cost_usd: Decimal
    turns: int
    event_seq: int
    parent_workflow_id: str | None
    has_unread_messages: bool = False
    is_awaited: bool = field(default=False, compare=False)
    """Whether other executions wait for this one; known only when the end is written."""
    lost_usd: Decimal = field(default=Decimal(0), compare=False)
    """What was charged for calls whose answer was lost; known only when the end is written."""


async def start(
    database: Database, execution_id: UUID, run: RunIdentity
) -> prompts.PromptSource | None:
    """Start a pending execution that no run has started, with a session; None if it is not one."""
    found = await database.raw.run(_SQL["start"], _start_parameters(execution_id, run))
    return None if found is None else await prompts.make_source(database, found)


async def start_external(
    database: Database, execution_id: UUID, run: RunIdentity
) -> SimpleNamespace | None:
    """Give an external execution a session if no run has started it; a worker's claim starts it.

    Returns its `cancel_requested_at` and `deadline_at`; None if it is not such a one.
    """
    return await database.raw.run(_SQL["start_external"], _start_parameters(execution_id, run))


def _start_parameters(execution_id: UUID, run: RunIdentity) -> Mapping[str, object]:
    return {
        "execution_id": execution_id,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "new_session_id": new_id(),
    }


async def release(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Make those of these locked blocked executions pending whose prerequisites are completed.

    Where the session is busy, the execution stays blocked and queues. The relay starts the others.
    """
    await session.execute(_SQL["release"], {"ids": ids})


async def end(
    on: Connected,
    error_messages: Mapping[UUID, str | None],
    status: ExecutionStatus,
    *,
    error_code: ErrorCode | None = None,
    report_error: str | None = None,
    run: RunIdentity | None = None,
) -> Sequence[Ended]:
    """End locked executions, with all that belongs to an end, in one statement.

    `error_messages` holds an entry for each execution; an error message that is stored already is
    kept. `run` is the fencing token of the workflow run that ends its execution. The result has an
    entry for each execution that ended. The others may not change to this status, have a newer
    writer, or were to be completed and have an unread message.

    If a cancellation was requested in time, the execution becomes `cancelled`. Open requests, tool
    calls and model calls end too; an unanswered model call is charged at its estimate. The parent
    is notified unless it ends in the same statement, and the next execution that waits for the
    session becomes pending.

    The executions and their sessions are locked before (`locks.lock_for_end`): the statement sees
    what was committed until then, and nothing is added before the end is written.
    """
    parameters = end_parameters(
        error_messages, status, error_code=error_code, report_error=report_error, run=run
    )
    return [make_ended(row) for row in await fetch_rows(on, _SQL["end"], parameters)]


def end_parameters(
    error_messages: Mapping[UUID, str | None],
    status: ExecutionStatus,
    *,
    error_code: ErrorCode | None = None,
    report_error: str | None = None,
    run: RunIdentity | None = None,
) -> Mapping[str, object]:
    """The parameters of the statement `end`; see `end`."""
    token = run.token() if run else dict.fromkeys(("workflow_id", "run_id", "segment", "attempt"))
    return {
        **token,
        "ids": list(error_messages),
        "error_messages": list(error_messages.values()),
        "status": status,
        "error_code": error_code,
        "report_error": report_error,
        "first_wake": FIRST_WAKE,
        "wake_channel": WAKE_CHANNEL,
    }


async def acknowledge_end(on: Connected, execution_id: UUID, run: RunIdentity) -> Ended | None:
    """The stored end of an execution, for its workflow; the signal of the end is consumed.

    None: it has not ended, or the run is that of a reset, which may reopen it.
    """
    parameters = {"execution_id": execution_id, "run_id": run.run_id, "is_reset": run.is_reset}
    found = await fetch_rows(on, _SQL["acknowledge_end"], parameters)
    return make_ended(found[0]) if found else None


async def find_end(session: AsyncSession, execution_id: UUID) -> Ended:
    """The stored end of an execution, or its present state."""
    return make_ended(
        (await session.execute(_SQL["find_end"], {"execution_id": execution_id})).one()
    )


def make_ended(row: Any) -> Ended:
    """The end that the statement `end` returns."""
    return Ended(
        id=row.id,
        status=ExecutionStatus(row.status),
        error_code=None if row.error_code is None else ErrorCode(row.error_code),
        cost_usd=row.cost_usd,
        turns=row.total_turns,
        event_seq=row.event_seq,
        parent_workflow_id=row.parent_workflow_id,
        is_awaited=row.is_awaited,
        lost_usd=row.lost_usd,
    )


def reopen(session: AsyncSession, row: ExecutionRow, kept_seq: int, *, keep_outcome: bool) -> None:
    """Make a locked execution running again, for an operator's reset; messages to `kept_seq` stay.

    An external execution becomes pending: a worker claims it again.

    `keep_outcome` keeps the result and the failure's message, for a reset that repeats no step:
    only the end is written again, and it does not compute them. This is the only change that
    leaves a terminal state. `TRANSITIONS` does not contain it.

    Raises:
        ConflictError: it was never started.
    """
    if row.status in NOT_STARTED:
        raise ConflictError(f"An execution that is {row.status} can't be reset.")
    row.stalled_attempts = 0
    is_external = row.executor == "external"
    row.status = ExecutionStatus.PENDING if is_external else ExecutionStatus.RUNNING
    row.status_reason = row.wakes_at = None
    row.claimed_by = row.claimed_at = row.lease_token = row.lease_expires_at = None
    row.completed_at = row.cancel_requested_at = row.cancel_reason = None
    row.error_code = None
    if not keep_outcome:
        row.error_message = row.result_data = None
    row.event_seq += 1
    data = {"kept_messages_up_to": kept_seq}
    session.add(
        ExecutionEventRow(execution_id=row.id, seq=row.event_seq, type="execution.reset", data=data)
    )


def request_cancel(row: ExecutionRow, reason: str | None) -> None:
    """Note on a locked execution that it is to be cancelled; its end reads the note."""
    row.cancel_requested_at = datetime.now(UTC)
    row.cancel_reason = reason


def set_report(row: ExecutionRow, report_id: UUID) -> None:
    """Note the newest report on a locked execution."""
    row.report_id = report_id


async def set_plan_status(
    session: AsyncSession, row: ExecutionRow, status: ExecutionStatus
) -> None:
    """Change the status of the locked execution of a plan, unless it has it already."""
    if row.status == ExecutionStatus.PENDING:
        row.started_at = datetime.now(UTC)
        await _set_status(session, row, ExecutionStatus.RUNNING, Event("execution.started", {}))
    if row.status != status:
        changed = Event("execution.status_changed", {"status": status, "reason": None})
        await _set_status(session, row, status, changed)


async def _set_status(
    session: AsyncSession, row: ExecutionRow, status: ExecutionStatus, event: Event
) -> None:
    require_transition(ExecutionStatus(row.status), status)
    row.status = status
    await session.flush()
    await events.append(session, row.id, event)


async def request_pause(session: AsyncSession, row: ExecutionRow, *, is_paused: bool) -> bool:
    """Request that a locked execution pauses or resumes; False if that is requested already.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    if ExecutionStatus(row.status).is_terminal:
        raise ExecutionTerminalError(f"This execution is already {row.status}.")
    if (row.pause_requested_at is not None) == is_paused:
        return False
    row.pause_requested_at = datetime.now(UTC) if is_paused else None
    if row.status not in NOT_STARTED and row.executor != "external":
        await append_signal(session, row.id, SignalKind.PAUSE if is_paused else SignalKind.RESUME)
    await session.flush()
    return True
