"""What workers report: results with a next action, and failures."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from domain.errors import (
    DependentsChangedError,
    ErrorCode,
    LeaseLostError,
    NotFoundError,
    PermissionDeniedError,
)
from domain.executions.external_work import MOST_LOST_ATTEMPTS, NextAction, shorten
from domain.executions.states import WORKER_BLOCKED, ExecutionStatus
from domain.files.blobs import identify
from persistence.blobs import registry
from persistence.db import locks
from persistence.executions import (
    cascade,
    leases,
    lifecycle,
    lone_ends,
    queries,
    stored_work,
)
from persistence.executions.leases import Report
from persistence.sessions import artifacts
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow
from services.caller import Caller
from services.executions.access import get_own_execution
from services.external_work.claims import make_lease_error
from services.external_work.inputs import CompleteBody, FailBody
from services.unit_of_work import Services, UnitOfWork

MOST_TRIES = 5
"""How often an end is tried if executions begin to wait for this one meanwhile: each try needs more
locks."""

DETAILED_WORK = "detailed_work.md"
"""The name of the artifact."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Completion:
    """What was stored of a report. `refusal`: the lease had ended; only the artifacts were kept.

    `columns` are those of `cached_reads.CachedReads.execution`, and hidden ones.
    """

    columns: Mapping[str, Any]
    artifacts: Sequence[ArtifactRow] = ()
    refusal: LeaseLostError | None = None

    def make_row(self) -> ExecutionRow:
        """The execution; it belongs to no session."""
        return stored_work.make_row(self.columns)


async def store_detailed_work(
    services: Services, caller: Caller, execution_id: UUID, body: CompleteBody
) -> None:
    """Store the detailed work of a report before `complete`, whose transaction waits for no disk.

    Raises:
        QuotaExceededError: the owner stores too much; the lease continues.
        BlobStoreUnavailableError: the store is full or unavailable; the lease continues.
    """
    if not body.detailed_work:
        return
    content = body.detailed_work.encode()
    with suppress(NotFoundError, PermissionDeniedError):  # `complete` refuses it
        async with services.database.reading() as session:
            row = await get_own_execution(session, caller, execution_id)
            await services.storage.check(session, row.user_id, adding=len(content))
        await services.blobs.add(content)


async def complete(work: UnitOfWork, execution_id: UUID, body: CompleteBody) -> Completion:
    """Store a report, and apply its next action.

    A report that comes too late is refused, but its artifact is kept: the caller commits.
    """
    if work.is_one_service and (done := await _complete_alone(work, execution_id, body)):
        return done
    await get_own_execution(work.session, work.caller, execution_id)
    return await _try_again(work, partial(_complete, work, execution_id, body))


async def _complete_alone(
    work: UnitOfWork, execution_id: UUID, body: CompleteBody
) -> Completion | None:
    """Complete work without files on which no other execution depends, in one statement.

    None: the report needs `_complete`, and nothing is stored.
    """
    if body.detailed_work or body.next_action is not NextAction.COMPLETE:
        return None
    columns = await lone_ends.complete_with_report(
        work.services.database.raw,
        execution_id,
        body.lease_token,
        _make_report(body),
        actor=work.caller.actor,
        owner_id=work.caller.user_id,
    )
    if columns is None:
        return None
    work.close_workflow(columns["workflow_id"])
    return Completion(columns)


def _make_report(body: CompleteBody, kept: Sequence[ArtifactRow] = ()) -> Report:
    return Report(
        summary=body.summary,
        result=_make_result(body, kept),
        audited=_describe_report(body, kept, is_late=False),
    )


def _describe_report(
    body: CompleteBody, kept: Sequence[ArtifactRow], *, is_late: bool
) -> Mapping[str, object]:
    """What the audit log shows of a report."""
    return {"next_action": body.next_action, "is_late": is_late, "artifacts": len(kept)}


async def fail(work: UnitOfWork, execution_id: UUID, body: FailBody) -> ExecutionRow:
    """Fail the work, or return it to the queue if it is retryable and was not lost too often.

    Raises:
        LeaseLostError: the lease has ended.
    """
    await get_own_execution(work.session, work.caller, execution_id)
    return await _try_again(work, partial(_fail, work, execution_id, body))


async def _try_again(work: UnitOfWork, change: Callable[[], Awaitable[T]]) -> T:
    """Repeat a change with new locks if another execution began to wait for this one meanwhile."""
    for _ in range(MOST_TRIES - 1):
        try:
            async with work.session.begin_nested():
                return await change()
        except DependentsChangedError:
            work.session.expire_all()
    return await change()


async def _complete(work: UnitOfWork, execution_id: UUID, body: CompleteBody) -> Completion:
    status = ExecutionStatus.COMPLETED
    sessions = await locks.lock_for_end(work.session, execution_id, status)
    row = await queries.lock_existing(work.session, execution_id)
    kept = await _keep_artifacts(work, row, body)
    report, actor = _make_report(body, kept), work.caller.actor
    if not await leases.store_report(work.session, row.id, body.lease_token, report, actor=actor):
        await work.record_audit(
            "execution.report",
            ("execution", row.id),
            after=_describe_report(body, kept, is_late=True),
            owner_id=row.user_id,
        )
        columns = await stored_work.read_columns(work.session, row.id)
        return Completion(columns, kept, refusal=make_lease_error(row))
    await work.session.refresh(row)
    await _apply(work, row, body)
    if body.next_action is NextAction.COMPLETE:
        (ended,) = await lifecycle.end(work.session, {row.id: None}, status)
        await cascade.end_dependents(work.session, ended, sessions=sessions)
        work.close_workflow(row.workflow_id)
    return Completion(await stored_work.read_columns(work.session, row.id), kept)


async def _keep_artifacts(
    work: UnitOfWork, row: ExecutionRow, body: CompleteBody
) -> Sequence[ArtifactRow]:
    if not body.detailed_work:
        return ()
    stored = identify(body.detailed_work.encode())
    kept = ArtifactRow(
        user_id=row.user_id,
        execution_id=row.id,
        kind=body.artifact_type,
        name=DETAILED_WORK,
        media_type="text/markdown; charset=utf-8",
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
    )
    if _has_ended(row, body) and (found := await artifacts.find_equal(work.session, kept)):
        return (found,)  # a worker whose response was lost repeats its report
    await registry.hold(work.session, [stored.sha256])
    # The terminal event is the last one.
    is_active = not ExecutionStatus(row.status).is_terminal
    await artifacts.create(work.session, kept, with_event=is_active)
    return (kept,)


def _has_ended(row: ExecutionRow, body: CompleteBody) -> bool:
    """Whether a report, a cancel or another claim has ended the lease."""
    is_held = row.status == ExecutionStatus.RUNNING and row.lease_token == body.lease_token
    return not is_held or row.cancel_requested_at is not None


def _make_result(body: CompleteBody, kept: Sequence[ArtifactRow]) -> dict[str, object]:
    result: dict[str, object] = {
        "text": shorten(body.detailed_work or body.summary or ""),
        "artifact_ids": [str(row.id) for row in kept],
        "file_paths": list(body.file_paths),
    }
    if body.output is not None:
        result["output"] = body.output
    return result


async def _apply(work: UnitOfWork, row: ExecutionRow, body: CompleteBody) -> None:
    """Apply a next action that does not end the execution."""
    match body.next_action:
        case NextAction.CONTINUE:
            token = body.lease_token
            await leases.renew(work.session, row.id, token, has_progress=True)
            await work.session.refresh(row)
        case NextAction.NEEDS_REVISION:
            await leases.put_back(work.session, row, "needs_revision", has_progress=True)
        case NextAction.BLOCKED:
            await leases.put_back(
                work.session,
                row,
                WORKER_BLOCKED,
                status=ExecutionStatus.BLOCKED,
                has_progress=True,
                message=body.summary,
            )
        case NextAction.COMPLETE:
            pass


async def _fail(work: UnitOfWork, execution_id: UUID, body: FailBody) -> ExecutionRow:
    status = ExecutionStatus.FAILED
    sessions = await locks.lock_for_end(work.session, execution_id, status)
    row = await queries.lock_existing(work.session, execution_id)
    if not await leases.is_held(work.session, row.id, body.lease_token):
        raise make_lease_error(row)
    before = {"claimed_by": row.claimed_by}
    if body.retryable and row.stalled_attempts + 1 < MOST_LOST_ATTEMPTS:
        await leases.put_back(
            work.session, row, "worker_failed", is_lost=True, message=body.message
        )
    else:
        (ended,) = await lifecycle.end(
            work.session, {row.id: body.message}, status, error_code=ErrorCode.WORKER_ERROR
        )
        await cascade.end_dependents(work.session, ended, sessions=sessions)
        await work.session.refresh(row)
        work.close_workflow(row.workflow_id)
    after = {"status": row.status, "retryable": body.retryable}
    await work.record_audit(
        "execution.fail", ("execution", row.id), before=before, after=after, owner_id=row.user_id
    )
    return row
