"""Routes of external workers: they claim work with a lease, keep it, and report the result."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.executions.schemas import ExecutionRead, render_page
from api.executions.waiting import Wait
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery, split_values
from api.http.request_context import Called
from api.links import BASE
from api.queue.claiming import repeat_claim
from api.queue.schemas import (
    ClaimRead,
    CleanUpRead,
    ExecutionPlanRead,
    HeartbeatRead,
    PruneWorkRead,
    QueueStatusRead,
    WorkReportRead,
    respond_alive,
    respond_claimed,
    respond_cleaned_up,
    respond_plan,
    respond_pruned,
    respond_reported,
    respond_returned,
    respond_status,
)
from services.definitions.inputs import Slug
from services.external_work import claims, overview, pruning, reports, stale_work, terms
from services.external_work.inputs import (
    ClaimBody,
    CompleteBody,
    FailBody,
    HeartbeatBody,
    ReleaseBody,
    TermsBody,
)
from services.external_work.overview import MOST_PLANNED
from services.external_work.pruning import PruneWorkBody
from services.external_work.stale_work import CleanUpBody

router = APIRouter(prefix=BASE, tags=["queue"])


class QueuePlanQuery(BaseModel):
    """The executions to order: their ids, separated by commas or repeated."""

    model_config = ConfigDict(extra="forbid")

    execution_ids: Annotated[
        tuple[UUID, ...], BeforeValidator(split_values), Field(max_length=MOST_PLANNED)
    ] = ()


CLAIMED: dict[int | str, dict[str, Any]] = {
    200: {"model": ClaimRead},
    204: {"description": "There is no work."},
}


@router.post("/queue/claim", responses=CLAIMED)
async def claim_work(
    call: Called,
    body: Annotated[ClaimBody, Depends(JsonBody(ClaimBody, optional=True))],
    wait: Wait = 0,
) -> Response:
    """Claim your next external execution, the one with the highest priority, with a lease.

    With `agent_id`, only the work of this agent; with `capabilities`, only work whose agent needs
    no others; with `execution_id`, this execution. If there is no work, the response is 204, after
    at most `wait` seconds. Send heartbeats, or the work returns to the queue.
    """
    run = partial(run_service, call, partial(claims.claim, body=body), respond_claimed)
    return await repeat_claim(call, run, body, wait)


@router.post("/queue/clean-up", responses={200: {"model": CleanUpRead}})
async def clean_up_work(
    call: Called, body: Annotated[CleanUpBody, Depends(JsonBody(CleanUpBody, optional=True))]
) -> Response:
    """Find your external work in which nothing has happened for long, and clean it up.

    Unless `dry_run` is true, which is the default, inactive work that a worker has returns to the
    queue, and abandoned work is cancelled. Work that waits for other work is not stale.
    """
    respond = partial(respond_cleaned_up, dry_run=body.dry_run)
    return await run_service(call, partial(stale_work.clean_up, body=body), respond)


@router.post("/queue/prune", responses={200: {"model": PruneWorkRead}})
async def prune_work(
    call: Called, body: Annotated[PruneWorkBody, Depends(JsonBody(PruneWorkBody))]
) -> Response:
    """Leave your finished external work out of lists and counts, or delete its content.

    Unless `dry_run` is true, which is the default. A part is pruned with the work that it is a part
    of, and only if all of that has ended, and all that waits for it.
    """
    respond = partial(respond_pruned, dry_run=body.dry_run)
    return await run_service(call, partial(pruning.prune, body=body), respond)


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
    prepare = partial(reports.store_detailed_work, call.services, call.caller, execution_id, body)
    service = partial(reports.complete, execution_id=execution_id, body=body)
    return await run_service(call, service, respond_reported, prepare=prepare)


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


@router.get("/queue/status", responses={200: {"model": QueueStatusRead}})
async def get_queue_status(call: Called) -> Response:
    """Count your external work by state and agent, and report the age of the oldest pending."""
    async with call.gateway.database.reading() as session:
        return respond_status(await overview.read_status(session, call.caller))


@router.get("/queue/plan", responses={200: {"model": ExecutionPlanRead}})
async def get_queue_plan(call: Called, query: Annotated[QueuePlanQuery, Query()]) -> Response:
    """Order executions in batches by their prerequisites: one batch can be done at the same time.

    Without `execution_ids`, all your external work that has not ended, at most 1,000 executions.
    """
    async with call.gateway.database.reading() as session:
        plan = await overview.plan_execution(
            session, call.caller, query.execution_ids, field="execution_ids"
        )
        return respond_plan(plan)


@router.patch("/queue/{execution_id}", responses={200: {"model": ExecutionRead}})
async def change_work(
    call: Called, execution_id: UUID, body: Annotated[TermsBody, Depends(JsonBody(TermsBody))]
) -> Response:
    """Change the base priority, the deadline or the estimate of external work."""
    service = partial(terms.change, execution_id=execution_id, body=body)
    return await run_service(call, service, respond_returned)


@router.get("/agents/{agent_id}/pending", responses={200: {"model": Listing[ExecutionRead]}})
async def list_pending_work(
    call: Called, agent_id: Slug, query: Annotated[ListQuery, Query()]
) -> Response:
    """List your pending executions of an agent, newest first."""
    async with call.gateway.database.reading() as session:
        page = await claims.list_pending(session, call.caller, agent_id, query.window())
        return await render_page(session, call, query, page)
