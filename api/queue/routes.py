"""Routes of external workers: they claim work with a lease, keep it, and report the result."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.executions.schemas import ExecutionRead, render_page
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery
from api.http.request_context import Called
from api.queue.schemas import (
    ClaimRead,
    HeartbeatRead,
    WorkReportRead,
    respond_alive,
    respond_claimed,
    respond_reported,
    respond_returned,
)
from services.definitions.inputs import Slug
from services.external_work import claims, reports
from services.external_work.inputs import (
    ClaimBody,
    CompleteBody,
    FailBody,
    HeartbeatBody,
    ReleaseBody,
)

router = APIRouter(tags=["queue"])

CLAIMED: dict[int | str, dict[str, Any]] = {
    200: {"model": ClaimRead},
    204: {"description": "There is no work."},
}


@router.post("/queue/claim", responses=CLAIMED)
async def claim_work(
    call: Called, body: Annotated[ClaimBody, Depends(JsonBody(ClaimBody, optional=True))]
) -> Response:
    """Claim your next external execution, the one with the highest priority, with a lease.

    With `agent_id`, only the work of this agent; with `execution_id`, this execution. Send
    heartbeats before the lease ends: then the work returns to the queue.
    """
    return await run_service(call, partial(claims.claim, body=body), respond_claimed)


@router.post("/queue/{execution_id}/heartbeat", responses={200: {"model": HeartbeatRead}})
async def send_heartbeat(
    call: Called,
    execution_id: UUID,
    body: Annotated[HeartbeatBody, Depends(JsonBody(HeartbeatBody))],
) -> Response:
    """Extend a lease. `must_stop` in the response is true if the work was cancelled."""
    service = partial(claims.send_heartbeat, execution_id=execution_id, body=body)
    return await run_service(call, service, respond_alive)


@router.post("/queue/{execution_id}/complete", responses={200: {"model": WorkReportRead}})
async def complete_work(
    call: Called,
    execution_id: UUID,
    body: Annotated[CompleteBody, Depends(JsonBody(CompleteBody))],
) -> Response:
    """Report the result of claimed work.

    `next_action`: `complete` ends it, `continue` keeps the lease, `needs_revision` returns it to
    the queue, `blocked` blocks it until `POST /task-executions/{id}/resume`. If the lease has
    ended, the response is 409 `lease_lost`, and the detailed work is kept as an artifact.
    """
    service = partial(reports.complete, execution_id=execution_id, body=body)
    return await run_service(call, service, respond_reported)


@router.post("/queue/{execution_id}/fail", responses={200: {"model": ExecutionRead}})
async def fail_work(
    call: Called, execution_id: UUID, body: Annotated[FailBody, Depends(JsonBody(FailBody))]
) -> Response:
    """Report that claimed work failed; with `retryable` it returns to the queue, up to a limit."""
    service = partial(reports.fail, execution_id=execution_id, body=body)
    return await run_service(call, service, respond_returned)


@router.post("/queue/{execution_id}/release", responses={200: {"model": ExecutionRead}})
async def release_work(
    call: Called,
    execution_id: UUID,
    body: Annotated[ReleaseBody, Depends(JsonBody(ReleaseBody))],
) -> Response:
    """Return claimed work to the queue, for example because the worker shuts down."""
    service = partial(claims.release, execution_id=execution_id, body=body)
    return await run_service(call, service, respond_returned)


@router.get("/agents/{agent_id}/pending", responses={200: {"model": Listing[ExecutionRead]}})
async def list_pending_work(
    call: Called, agent_id: Slug, query: Annotated[ListQuery, Query()]
) -> Response:
    """List your pending executions of an agent, newest first."""
    async with call.gateway.database.reading() as session:
        page = await claims.list_pending(session, call.caller, agent_id, query.window())
        return await render_page(session, call, query, page)
