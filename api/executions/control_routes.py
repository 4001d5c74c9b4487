"""Control executions: cancel, pause, resume, fork."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.routes import own_execution, readable_views
from api.executions.schemas import CancelBody, ExecutionRead, ForkBody
from api.executions.waiting import ACCEPTED, Wait
from api.http.bodies import JsonBody
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer
from domain.errors import NotFoundError
from persistence.executions import lifecycle, prerequisites, queries
from persistence.ledger import audit
from persistence.tables.executions import ExecutionRow
from services.executions.cancelling import cancel, wake
from services.executions.forking import fork
from services.executions.starting import Started, accepted

router = APIRouter(prefix="/task-executions", tags=["executions"])


@router.post("/{execution_id}/cancel", status_code=202, responses={202: {"model": ExecutionRead}})
async def cancel_execution(
    call: Called,
    execution_id: UUID,
    body: Annotated[CancelBody, Depends(JsonBody(CancelBody, optional=True))],
) -> Response:
    """Request the cancellation of an execution and its subtasks; they end shortly after."""
    async with call.gateway.database.transaction() as session:
        row = await own_execution(session, call, execution_id)
        stopping = await cancel(session, call, row, body.reason)
        (read,) = await readable_views(session, call, [stopping.row])
    await wake(call.gateway, stopping)
    return answer(read, 202)


@router.post("/{execution_id}/pause", status_code=202, responses={202: {"model": ExecutionRead}})
async def pause_execution(call: Called, execution_id: UUID) -> Response:
    """Pause an execution after the current step, until it is resumed.

    An execution that has not started is paused before its first model call. Running subtasks
    continue. The status becomes `paused` shortly after. A repeated request has no effect.
    """
    return await _wish(call, execution_id, is_paused=True)


@router.post("/{execution_id}/resume", status_code=202, responses={202: {"model": ExecutionRead}})
async def resume_execution(call: Called, execution_id: UUID) -> Response:
    """Resume a paused execution. Has no effect if the execution is not paused."""
    return await _wish(call, execution_id, is_paused=False)


@router.get("/{execution_id}/prerequisites", responses={200: {"model": Listing[ExecutionRead]}})
async def list_prerequisites(
    call: Called, execution_id: UUID, query: Annotated[ListQuery, Query()]
) -> Response:
    """List the prerequisites of an execution, newest first."""
    async with call.gateway.database.reading() as session:
        await own_execution(session, call, execution_id)
        page = await prerequisites.page(session, execution_id, query.window())
        items = await readable_views(session, call, page.rows)
    return answer(listing(call.request, query, page, items))


@router.post("/{execution_id}/fork", status_code=202, responses=ACCEPTED)
async def fork_execution(
    call: Called,
    execution_id: UUID,
    body: Annotated[ForkBody, Depends(JsonBody(ForkBody))],
    wait: Wait = 0,
) -> Response:
    """Start an execution that shares the transcript of another one up to a turn.

    `prompt` is the next user message; it is required after the final answer. The workspace is a
    copy of the current workspace of the other execution, made when the first tool of the fork runs.
    """

    async def begin(session: AsyncSession) -> Started:
        return await fork(session, call, await _locked(session, call, execution_id), body)

    return await accepted(call, begin, wait)


async def _locked(session: AsyncSession, call: Call, execution_id: UUID) -> ExecutionRow:
    await own_execution(session, call, execution_id)
    row = await queries.lock(session, execution_id)
    if row is None:
        raise NotFoundError(f"Execution {execution_id} does not exist.")
    return row


async def _wish(call: Call, execution_id: UUID, *, is_paused: bool) -> Response:
    async def store(session: AsyncSession) -> tuple[Response, str | None]:
        row = await _locked(session, call, execution_id)
        before = {"status": row.status, "is_pause_requested": row.pause_requested_at is not None}
        is_new = await lifecycle.request_pause(session, row, is_paused=is_paused)
        if is_new:
            await audit.record(
                session,
                call.actor,
                "execution.pause" if is_paused else "execution.resume",
                ("execution", execution_id),
                before=before,
                after={"status": row.status, "is_pause_requested": is_paused},
                owner_id=row.user_id,
            )
        (read,) = await readable_views(session, call, [row])
        return answer(read, 202), row.workflow_id if is_new else None

    done = await run_once(call, store)
    if done.value is not None:
        await call.gateway.dispatcher.wake(done.value)
    return done.response
