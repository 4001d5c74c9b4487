"""Steering executions: pause, resume, and forking one at a turn."""

from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.calls import Call, Called
from api.idempotency import once
from api.responses import answer
from api.routes.executions import own_execution
from api.schemas.executions import ExecutionRead
from domain.errors import NotFoundError
from persistence import audit, executions, pausing

router = APIRouter(prefix="/task-executions", tags=["executions"])


@router.post("/{execution_id}/pause", status_code=202, responses={202: {"model": ExecutionRead}})
async def pause_execution(call: Called, execution_id: UUID) -> Response:
    """Let an execution stand still after the step in hand, until it is resumed.

    One that has not begun is paused before its first model call. Subtasks that run already go on.
    Its status becomes `paused` in a moment; pausing it again changes nothing.
    """
    return await _wish(call, execution_id, stand_still=True)


@router.post("/{execution_id}/resume", status_code=202, responses={202: {"model": ExecutionRead}})
async def resume_execution(call: Called, execution_id: UUID) -> Response:
    """Let a paused execution go on where it was; one that is not paused stays as it is."""
    return await _wish(call, execution_id, stand_still=False)


async def _wish(call: Call, execution_id: UUID, *, stand_still: bool) -> Response:
    async def store(session: AsyncSession) -> tuple[Response, str | None]:
        await own_execution(session, call, execution_id)
        row = await executions.lock(session, execution_id)
        if row is None:
            raise NotFoundError(f"There is no execution {execution_id}.")
        before = {"status": row.status, "is_pause_requested": row.pause_requested_at is not None}
        is_new = await pausing.wish(session, row, stand_still=stand_still)
        if is_new:
            await audit.record(
                session,
                call.actor,
                "execution.pause" if stand_still else "execution.resume",
                ("execution", execution_id),
                before=before,
                after={"status": row.status, "is_pause_requested": stand_still},
                owner_id=row.user_id,
            )
        return answer(views.execution(call, row), 202), row.workflow_id if is_new else None

    done = await once(call, store)
    if done.value is not None:
        await call.gateway.dispatcher.ring(done.value)
    return done.response
