"""Executing a task."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.bodies import JsonBody
from api.calls import Called
from api.pages import Listing
from api.routes.executions import ExecutionQuery, list_of_executions
from api.routes.tasks import readable_task
from api.schemas.executions import ExecuteBody
from api.starting import Started, accepted, asked, start, work_of
from api.waiting import ACCEPTED, Wait

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.post("/{task_id}/execute", status_code=202, responses=ACCEPTED)
async def execute_task(
    call: Called,
    task_id: UUID,
    body: Annotated[ExecuteBody, Depends(JsonBody(ExecuteBody, optional=True))],
    wait: Wait = 0,
) -> Response:
    """Run a task.

    With `wait`, the answer comes with 200 when it has ended or waits for a person, and with 202 as
    ever when the time is over.
    """

    async def begin(session: AsyncSession) -> Started:
        work = work_of(await readable_task(session, call, task_id))
        wanted = asked(call, work, body)
        return await start(session, call.gateway, wanted, strict_variables=body.strict_variables)

    return await accepted(call, begin, wait)


@router.get("/{task_id}/executions", responses={200: {"model": Listing}})
async def list_task_executions(
    call: Called, task_id: UUID, query: Annotated[ExecutionQuery, Query()]
) -> Response:
    """My executions of a task, newest first; those of a deleted task too."""
    return await list_of_executions(call, query, task_id=task_id)
