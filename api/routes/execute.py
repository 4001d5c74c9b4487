"""Executing a task, and waiting for what comes of it."""

import json
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import metrics, views
from api.bodies import JsonBody
from api.calls import Call, Called
from api.idempotency import once
from api.pages import Listing
from api.responses import answer
from api.routes.executions import ExecutionQuery, list_of_executions
from api.routes.tasks import readable_task
from api.schemas.executions import ExecuteBody, ExecutionRead
from api.starting import Started, dispatch, start
from persistence.hot_reads import SETTLED

router = APIRouter(prefix="/tasks", tags=["tasks"])

LONGEST_WAIT_SECONDS = 60
"""Proxies commonly end a request after a minute (contract.md, section 2)."""

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_SECONDS, allow_inf_nan=False)]


@router.post(
    "/{task_id}/execute",
    status_code=202,
    responses={
        200: {"model": ExecutionRead, "description": "It has ended, or waits for a person."},
        202: {"model": ExecutionRead},
    },
)
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

    async def store(session: AsyncSession) -> tuple[Response, Started]:
        task = await readable_task(session, call, task_id)
        started = await start(session, call, task, body)
        read = views.execution(call, started.row)
        return answer(read, 202, {"Location": read.links["self"]}), started

    done = await once(call, store)
    if done.value is not None:
        await dispatch(call, done.value)
    if wait and done.response.status_code == 202:  # noqa: PLR2004 - accepted, now or before
        return await _settled(call, done.response, wait)
    return done.response


async def _settled(call: Call, accepted: Response, seconds: float) -> Response:
    """The accepted execution as it stands when it has settled, or after `seconds`."""
    execution_id = UUID(json.loads(bytes(accepted.body))["id"])
    with metrics.WAITS.track_inprogress():
        await call.gateway.watcher.settled(execution_id, seconds)
    columns = await call.gateway.hot_reads.execution(execution_id)
    if columns is None:
        return accepted
    headers = {h: accepted.headers[h] for h in _KEPT_HEADERS if h in accepted.headers}
    status = 200 if columns["status"] in SETTLED else 202
    return answer(views.execution_of(call, columns), status, headers)


_KEPT_HEADERS = ("location", "idempotency-replayed")


@router.get("/{task_id}/executions", responses={200: {"model": Listing}})
async def list_task_executions(
    call: Called, task_id: UUID, query: Annotated[ExecutionQuery, Query()]
) -> Response:
    """My executions of a task, newest first; those of a deleted task too."""
    return await list_of_executions(call, query, task_id=task_id)
