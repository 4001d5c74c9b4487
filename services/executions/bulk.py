"""Cancels or retries many executions.

Each cancel is a transaction of its own, so that it locks rows only briefly. A crash leaves the rest
untouched, and the same request continues with it. Retries are one transaction with the request's
idempotency key: a repeated request starts nothing twice.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, InvalidInputError, PerdureError
from domain.executions.states import TERMINAL, ExecutionStatus
from persistence.executions import queries
from persistence.executions.queries import ExecutionFilter
from services.caller import Caller
from services.executions import control, retrying
from services.executions.access import get_own_execution, require_active
from services.executions.inputs import BulkBody, BulkCancelBody, CancelBody, Narrowing, RetryBody
from services.unit_of_work import Effect, Services, UnitOfWork, run_effects

MAX_SECONDS = 10.0
"""Executions not reached by then are left for the next request: proxies and clients commonly wait
half a minute (chosen)."""

Select = Callable[..., Awaitable[Sequence[UUID]]]


@dataclass(frozen=True, slots=True)
class SkippedExecution:
    """An execution that could not be changed, and why."""

    id: UUID
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What a bulk change did.

    `matched` is how many executions were selected, `changed_ids` the changed ones (or the new ones
    of a retry; in a dry run those that would change). `has_more`: the same request continues.
    """

    matched: int
    changed_ids: Sequence[UUID]
    skipped: Sequence[SkippedExecution]
    has_more: bool
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class _Selection:
    ids: Sequence[UUID]
    has_more: bool


async def cancel_many(services: Services, caller: Caller, body: BulkCancelBody) -> BulkOutcome:
    """Cancel the caller's active executions that match the filter, or those with the given ids."""
    effects: list[Effect] = []

    async def check_one(execution_id: UUID) -> UUID:
        require_active(await get_own_execution(session, caller, execution_id))
        return execution_id

    async def cancel_one(execution_id: UUID) -> UUID:
        async with services.transaction(caller, effects=effects) as work:
            await control.cancel(work, execution_id, CancelBody(reason=body.reason))
        return execution_id

    async with services.database.reading() as session:
        selection = await _select(session, caller, body, queries.list_cancellable)
        if body.dry_run:
            return await _apply(body, selection, check_one)
    outcome = await _apply(body, selection, cancel_one)
    await run_effects(effects)
    return outcome


async def retry_many(work: UnitOfWork, body: BulkBody) -> BulkOutcome:
    """Retry the caller's ended executions that match the filter, or those with the given ids.

    A filter without a status selects the failed ones. Executions that have a retry, and subtasks,
    are not selected.
    """
    body = _limit_to_ended(body)
    selection = await _select(work.session, work.caller, body, queries.list_retryable)

    async def check_one(execution_id: UUID) -> UUID:
        await retrying.check_retry(work, execution_id, RetryBody())
        return execution_id

    async def retry_one(execution_id: UUID) -> UUID:
        async with work.session.begin_nested():
            row = await retrying.retry(work, execution_id, RetryBody())
        return row.id

    return await _apply(body, selection, check_one if body.dry_run else retry_one)


def filter_of(given: Narrowing) -> ExecutionFilter:
    """Return the filter that a query or a body describes."""
    names = {field.name for field in fields(ExecutionFilter)}
    same = {name: value for name, value in given if name in names}
    return ExecutionFilter(statuses=given.status, **same)


def _limit_to_ended(body: BulkBody) -> BulkBody:
    if body.filter is None:
        return body
    statuses = body.filter.status or (ExecutionStatus.FAILED,)
    if active := [status for status in statuses if status not in TERMINAL]:
        hint = f"Only an ended execution can be retried, not one that is {active[0]}."
        problem = FieldProblem(("body", "filter", "status"), hint)
        raise InvalidInputError("The filter matches nothing that can be retried.", [problem])
    narrowed = body.filter.model_copy(update={"status": statuses})
    return body.model_copy(update={"filter": narrowed})


async def _select(
    session: AsyncSession, caller: Caller, body: BulkBody, select: Select
) -> _Selection:
    ids: Sequence[UUID] = list(dict.fromkeys(body.ids or ()))
    if body.filter is not None:
        ids = await select(session, caller.user_id, filter_of(body.filter), limit=body.limit + 1)
    return _Selection(ids[: body.limit], has_more=len(ids) > body.limit)


async def _apply(
    body: BulkBody, selection: _Selection, change: Callable[[UUID], Awaitable[UUID]]
) -> BulkOutcome:
    """Apply a change to one execution after the other until `MAX_SECONDS` have passed."""
    changed: list[UUID] = []
    skipped: list[SkippedExecution] = []
    reached = 0
    began = time.monotonic()
    for execution_id in selection.ids:
        if time.monotonic() - began >= MAX_SECONDS:
            break
        reached += 1
        try:
            changed.append(await change(execution_id))
        except PerdureError as error:
            skipped.append(SkippedExecution(execution_id, error.code, error.detail))
    rest = selection.ids[reached:]
    if body.ids:
        skip = partial(
            SkippedExecution, code="not_reached", reason="The time was up; send it again."
        )
        skipped += map(skip, rest)
    return BulkOutcome(
        matched=len(selection.ids) if body.ids else reached,
        changed_ids=changed,
        skipped=skipped,
        has_more=selection.has_more or bool(rest),
        is_dry_run=body.dry_run,
    )
