"""Start executions: tasks, ad-hoc prompts, retries, messages to executions that have ended."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.routes import list_of_executions, own_execution
from api.executions.schemas import (
    ExecuteBody,
    ExecutionQuery,
    ExecutionRead,
    MessageBody,
    RetryBody,
    WorkBody,
)
from api.executions.waiting import ACCEPTED, Wait
from api.http.bodies import JsonBody
from api.http.paging import Listing
from api.http.request_context import Called
from api.tasks.routes import readable_task
from persistence.definitions import tasks
from services.definitions import inline_work
from services.executions.messaging import retry_of, send_message_to_execution
from services.executions.starting import Started, accepted, start, start_of_body, work_of

router = APIRouter()


@router.post("/tasks/{task_id}/execute", status_code=202, responses=ACCEPTED, tags=["tasks"])
async def execute_task(
    call: Called,
    task_id: UUID,
    body: Annotated[ExecuteBody, Depends(JsonBody(ExecuteBody, optional=True))],
    wait: Wait = 0,
) -> Response:
    """Execute a task.

    With `wait`, the response is 200 when the execution has ended or waits for a person, or 202 when
    the time is over.
    """

    async def begin(session: AsyncSession) -> Started:
        work = work_of(await readable_task(session, call, task_id))
        wanted = start_of_body(call, work, body)
        return await start(session, call.gateway, wanted, strict_variables=body.strict_variables)

    return await accepted(call, begin, wait)


@router.get(
    "/tasks/{task_id}/executions",
    responses={200: {"model": Listing[ExecutionRead]}},
    tags=["tasks"],
)
async def list_task_executions(
    call: Called, task_id: UUID, query: Annotated[ExecutionQuery, Query()]
) -> Response:
    """List your executions of a task, newest first, also for a deleted task."""
    async with call.gateway.database.reading() as session:
        stored = await tasks.find(session, task_id)
    if stored is not None and not stored.row.is_public:
        call.require_own(stored.row.user_id, "task")
    return await list_of_executions(call, query, task_id=task_id)


@router.post("/task-executions", status_code=202, responses=ACCEPTED, tags=["executions"])
async def execute_work(
    call: Called, body: Annotated[WorkBody, Depends(JsonBody(WorkBody))], wait: Wait = 0
) -> Response:
    """Run an ad-hoc prompt, optionally with an agent."""

    async def begin(session: AsyncSession) -> Started:
        work = await inline_work.work_of_body(session, call, body)
        variables = inline_work.variables_of(body)
        wanted = start_of_body(call, work, body, variables=variables, action="execution.create")
        return await start(session, call.gateway, wanted, strict_variables=body.strict_variables)

    return await accepted(call, begin, wait)


@router.post(
    "/task-executions/{execution_id}/retry",
    status_code=202,
    responses=ACCEPTED,
    tags=["executions"],
)
async def retry_execution(
    call: Called,
    execution_id: UUID,
    body: Annotated[RetryBody, Depends(JsonBody(RetryBody, optional=True))],
    wait: Wait = 0,
) -> Response:
    """Run an execution that has ended again, with the same version of its task.

    `variables` replaces all variables.
    """

    async def begin(session: AsyncSession) -> Started:
        row = await own_execution(session, call, execution_id)
        return await start(session, call.gateway, await retry_of(session, call, row, body))

    return await accepted(call, begin, wait)


@router.post(
    "/task-executions/{execution_id}/messages",
    status_code=202,
    responses=ACCEPTED,
    tags=["executions"],
)
async def send_message(
    call: Called,
    execution_id: UUID,
    body: Annotated[MessageBody, Depends(JsonBody(MessageBody))],
    wait: Wait = 0,
) -> Response:
    """Send a message to an execution.

    If the execution has not ended, the model receives the message before its next call. Otherwise,
    a new execution in the same session processes it, after the executions that already wait there.
    """

    async def begin(session: AsyncSession) -> Started:
        return await send_message_to_execution(session, call, execution_id, body.content)

    return await accepted(call, begin, wait)
