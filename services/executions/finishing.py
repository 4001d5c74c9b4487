"""The end of an execution: finished by its workflow, terminated in Temporal, or overdue."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ErrorCode, FencedOutError
from domain.executions.states import WORKER_BLOCKED, ExecutionStatus, require_transition
from persistence.db import locks
from persistence.executions import admission, cascade, lifecycle, queries
from persistence.executions.fencing import RunIdentity
from persistence.executions.lifecycle import Ended
from persistence.ledger import budgets
from persistence.tables.executions import ExecutionRow

ERROR_MESSAGES: Mapping[ErrorCode, str] = {
    ErrorCode.WORKER_ERROR: "The worker could not continue the execution; see the worker's log.",
    ErrorCode.DEADLINE_PASSED: "The deadline has passed.",
    ErrorCode.TERMINATED: "The workflow was terminated in Temporal.",
    ErrorCode.INVALID_DEFINITION: "The task's definition is not valid, or its agent was deleted.",
}
"""For failures whose own message was not stored."""

REPORT_FAILED = "The report could not be created; see the worker's log."


async def finish(
    session: AsyncSession,
    execution_id: UUID,
    run: RunIdentity,
    *,
    status: ExecutionStatus,
    error_code: ErrorCode | None,
    report_failed: bool = False,
) -> Ended:
    """Write the end that a workflow run asks for, unless a message must be answered first.

    A repeated call returns the end that was written.

    Raises:
        FencedOutError: another run or attempt moves the execution.
        DependentsChangedError: another execution began to wait for this one meanwhile; try again.
        TransitionRefusedError: the execution may not change to this status.
    """
    sessions = await locks.lock_for_end(session, execution_id, status)
    if status is ExecutionStatus.FAILED:
        error_code = error_code or ErrorCode.WORKER_ERROR
    message = error_code and ERROR_MESSAGES.get(error_code, f"The execution failed: {error_code}.")
    write_end = partial(
        lifecycle.end,
        session,
        {execution_id: message},
        status,
        error_code=error_code,
        report_error=REPORT_FAILED if report_failed else None,
        run=run,
    )
    ended = await write_end()
    if not ended:
        known = await lifecycle.acknowledge_end(session, execution_id, run)
        if known is not None:
            return known
        row = await queries.lock_existing(session, execution_id)
        await admission.admit(session, row, run)
        ended = await write_end()
        if not ended:
            return await _explain_refusal(session, row, run, status)
    await cascade.end_dependents(session, ended[0], sessions=sessions)
    if lost := ended[0].lost_usd:
        await budgets.settle(session, execution_id, reserved_usd=lost, spent_usd=lost)
    return ended[0]


async def end_terminated(session: AsyncSession, execution_id: UUID, run_id: str) -> Ended:
    """Write `failed`, `terminated`, unless the execution has ended; returns how it has ended.

    Raises:
        FencedOutError: a newer run moves the execution.
    """
    await locks.lock_for_end(session, execution_id, ExecutionStatus.FAILED)
    row = await queries.lock_existing(session, execution_id)
    run = RunIdentity(
        workflow_id=row.workflow_id,
        run_id=run_id,
        segment=row.segment + 1,
        attempt=1,
        last_message_seq=0,
        is_reset=False,
    )
    return await finish(
        session,
        execution_id,
        run,
        status=ExecutionStatus.FAILED,
        error_code=ErrorCode.TERMINATED,
    )


async def end_overdue(session: AsyncSession, execution_id: UUID) -> None:
    """Write `failed`, `deadline_passed`, unless the execution is no longer blocked."""
    await locks.lock_for_cancel(session, execution_id)
    row = await queries.lock_existing(session, execution_id)
    if row.status != ExecutionStatus.BLOCKED or row.status_reason == WORKER_BLOCKED:
        return
    message = "The deadline passed before it could start."
    for ended in await lifecycle.end(
        session,
        {execution_id: message},
        ExecutionStatus.FAILED,
        error_code=ErrorCode.DEADLINE_PASSED,
    ):
        await cascade.end_dependents(session, ended, sessions=())


async def _explain_refusal(
    session: AsyncSession, row: ExecutionRow, run: RunIdentity, status: ExecutionStatus
) -> Ended:
    """Distinguish an unread message, a newer attempt and a status that is not allowed."""
    if (run.segment, run.attempt) < (row.segment, row.attempt):
        raise FencedOutError("Another attempt moves this execution.")
    require_transition(ExecutionStatus(row.status), status)
    present = await lifecycle.find_end(session, row.id)
    return replace(present, error_code=None, parent_workflow_id=None, has_unread_messages=True)
