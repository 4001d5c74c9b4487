"""Routes that cancel, finish, pause and resume executions, one or many."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.executions.schemas import BulkResult, ExecutionRead, Skipped, readable_views
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.request_context import Call, Called
from api.http.responses import answer
from persistence.tables.executions import ExecutionRow
from services.executions import bulk, control
from services.executions.bulk import BulkOutcome
from services.executions.inputs import BulkBody, BulkCancelBody, CancelBody, FinishBody

router = APIRouter(prefix=f"{links.BASE}/task-executions", tags=["executions"])

CHANGED: dict[int | str, dict[str, Any]] = {202: {"model": ExecutionRead}}

BULK: dict[int | str, dict[str, Any]] = {
    200: {"model": BulkResult, "description": "A dry run: nothing was changed."},
    202: {"model": BulkResult},
}


@router.post("/bulk/cancel", status_code=202, responses=BULK)
async def cancel_executions(
    call: Called, body: Annotated[BulkCancelBody, Depends(JsonBody(BulkCancelBody))]
) -> Response:
    """Cancel your active executions that match a filter, or those in `ids`."""
    outcome = await bulk.cancel_many(call.services, call.caller, body)
    return await _render_outcome(call, None, outcome)


@router.post("/bulk/retry", status_code=202, responses=BULK)
async def retry_executions(
    call: Called, body: Annotated[BulkBody, Depends(JsonBody(BulkBody))]
) -> Response:
    """Retry your ended executions that match a filter and have no retry yet, or those in `ids`.

    A filter without a status selects the failed ones. Subtasks are retried with their parents.
    """
    service = partial(bulk.retry_many, body=body)
    return await run_service(call, service, _render_outcome, dry_run=body.dry_run)


@router.post("/{execution_id}/cancel", status_code=202, responses=CHANGED)
async def cancel_execution(
    call: Called,
    execution_id: UUID,
    body: Annotated[CancelBody, Depends(JsonBody(CancelBody, optional=True))],
) -> Response:
    """Cancel an execution and its subtasks; their workflows end them within a moment."""
    service = partial(control.cancel, execution_id=execution_id, body=body)
    return await run_service(call, service, _render_changed)


@router.post("/{execution_id}/finish", status_code=202, responses=CHANGED)
async def finish_execution(
    call: Called,
    execution_id: UUID,
    body: Annotated[FinishBody, Depends(JsonBody(FinishBody, optional=True))],
) -> Response:
    """Ask a running execution to answer now with what it has, and complete.

    A call that runs already is completed. Calls that wait do not run, open input requests and
    subtasks are cancelled, and the model answers without tools.
    """
    service = partial(control.finish, execution_id=execution_id, body=body)
    return await run_service(call, service, _render_changed)


@router.post("/{execution_id}/pause", status_code=202, responses=CHANGED)
async def pause_execution(call: Called, execution_id: UUID) -> Response:
    """Pause an execution after its current step, until it is resumed.

    An execution that has not started pauses before its first model call. Running subtasks continue.
    The status becomes `paused` within a moment; pausing a paused execution changes nothing.
    """
    return await run_service(
        call, partial(control.pause, execution_id=execution_id), _render_changed
    )


@router.post("/{execution_id}/resume", status_code=202, responses=CHANGED)
async def resume_execution(call: Called, execution_id: UUID) -> Response:
    """Continue a paused execution where it was; resuming another one changes nothing."""
    return await run_service(
        call, partial(control.resume, execution_id=execution_id), _render_changed
    )


async def _render_changed(call: Call, session: AsyncSession, row: ExecutionRow) -> Response:
    (read,) = await readable_views(session, call, [row])
    return answer(read, 202)


async def _render_outcome(_: Call, __: object, outcome: BulkOutcome) -> Response:
    result = BulkResult(
        matched=outcome.matched,
        changed=0 if outcome.is_dry_run else len(outcome.changed_ids),
        skipped=[Skipped(**asdict(skipped)) for skipped in outcome.skipped],
        execution_ids=list(outcome.changed_ids),
        has_more=outcome.has_more,
        links={"executions": f"{links.BASE}/task-executions"},
    )
    return answer(result, 200 if outcome.is_dry_run else 202)
