"""Routes that start executions: of a task, of an inline definition, retries, forks, messages."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.executions.waiting import ACCEPTED, Wait, start_and_wait
from api.http.bodies import JsonBody
from api.http.request_context import Called
from api.links import BASE
from services.executions import forking, messaging, retrying, starting
from services.executions.inputs import ExecuteBody, ForkBody, MessageBody, RetryBody, WorkBody

router = APIRouter(prefix=BASE)


@router.post("/tasks/{task_id}/execute", status_code=202, responses=ACCEPTED, tags=["tasks"])
async def execute_task(
    call: Called,
    task_id: UUID,
    body: Annotated[ExecuteBody, Depends(JsonBody(ExecuteBody, optional=True))],
    wait: Wait = 0,
) -> Response:
    """Execute a task.

    With `wait` (seconds) the response is 200 as soon as the execution has ended or waits for a
    person, and 202 when the time is over.
    """
    service = partial(starting.start_task, task_id=task_id, body=body)
    return await start_and_wait(call, service, wait)


@router.post("/task-executions", status_code=202, responses=ACCEPTED, tags=["executions"])
async def execute_work(
    call: Called, body: Annotated[WorkBody, Depends(JsonBody(WorkBody))], wait: Wait = 0
) -> Response:
    """Execute work that no task defines, by an agent or with the tools in the request."""
    return await start_and_wait(call, partial(starting.start_inline_work, body=body), wait)


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
    """Execute an ended execution again from the beginning, with the same version of its task.

    `variables` replace all variables of the first one.
    """
    service = partial(retrying.retry, execution_id=execution_id, body=body)
    return await start_and_wait(call, service, wait)


@router.post(
    "/task-executions/{execution_id}/fork",
    status_code=202,
    responses=ACCEPTED,
    tags=["executions"],
)
async def fork_execution(
    call: Called,
    execution_id: UUID,
    body: Annotated[ForkBody, Depends(JsonBody(ForkBody))],
    wait: Wait = 0,
) -> Response:
    """Start an execution that shares the transcript of another up to a turn.

    Without `prompt` it continues like the other one; after the model's final answer a prompt is
    required. Its workspace starts as a copy of the other's, made when its first tool runs.
    """
    service = partial(forking.fork, execution_id=execution_id, body=body)
    return await start_and_wait(call, service, wait)


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

    An active execution reads it before its next model call. If the execution has ended, a new one
    in the same session answers, after those that already wait there.
    """
    service = partial(messaging.send_message, execution_id=execution_id, body=body)
    return await start_and_wait(call, service, wait)
