"""Routes that read executions."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.executions.schemas import (
    ExecutionQuery,
    ExecutionRead,
    cached_fields,
    render_page,
)
from api.http.oversight import choose_owner
from api.http.paging import Listing, ListQuery
from api.http.request_context import Called
from api.http.responses import respond_rendered
from api.links import BASE
from domain.errors import NotFoundError
from persistence.definitions import tasks
from persistence.executions import prerequisites, queries
from persistence.executions.queries import ExecutionFilter
from services.executions.access import get_own_execution, get_readable_execution
from services.executions.bulk import filter_of

router = APIRouter(prefix=BASE)


@router.get(
    "/task-executions", responses={200: {"model": Listing[ExecutionRead]}}, tags=["executions"]
)
async def list_executions(call: Called, query: Annotated[ExecutionQuery, Query()]) -> Response:
    """List your executions, newest first."""
    user_id = await choose_owner(call, query)
    async with call.gateway.database.reading() as session:
        page = await queries.page(session, user_id, filter_of(query), query.window())
        return await render_page(session, call, query, page)


@router.get(
    "/task-executions/{execution_id}",
    responses={200: {"model": ExecutionRead}},
    tags=["executions"],
)
async def get_execution(call: Called, execution_id: UUID) -> Response:
    """Get an execution of yours, or one whose input request is assigned to you."""
    columns = await call.gateway.cached_reads.execution(execution_id)
    if columns is None:
        raise NotFoundError(f"Execution {execution_id} does not exist.")
    if not call.caller.owns(columns["user_id"]):
        async with call.gateway.database.reading() as session:
            await get_readable_execution(session, call.caller, execution_id)
    resource = call.gateway.executions.render(ExecutionRead, cached_fields(call, columns))
    return respond_rendered(call.request, resource)


@router.get(
    "/task-executions/{execution_id}/children",
    responses={200: {"model": Listing[ExecutionRead]}},
    tags=["executions"],
)
async def list_children(
    call: Called, execution_id: UUID, query: Annotated[ListQuery, Query()]
) -> Response:
    """List the subtasks of an execution, newest first."""
    async with call.gateway.database.reading() as session:
        parent = await get_readable_execution(session, call.caller, execution_id)
        children = ExecutionFilter(parent_id=execution_id)
        page = await queries.page(session, parent.user_id, children, query.window())
        return await render_page(session, call, query, page)


@router.get(
    "/task-executions/{execution_id}/prerequisites",
    responses={200: {"model": Listing[ExecutionRead]}},
    tags=["executions"],
)
async def list_prerequisites(
    call: Called, execution_id: UUID, query: Annotated[ListQuery, Query()]
) -> Response:
    """The prerequisites of an execution, met and unmet, newest first."""
    async with call.gateway.database.reading() as session:
        await get_own_execution(session, call.caller, execution_id)
        page = await prerequisites.page(session, execution_id, query.window())
        return await render_page(session, call, query, page)


@router.get(
    "/tasks/{task_id}/executions",
    responses={200: {"model": Listing[ExecutionRead]}},
    tags=["tasks"],
)
async def list_task_executions(
    call: Called, task_id: UUID, query: Annotated[ExecutionQuery, Query()]
) -> Response:
    """List your executions of a task, newest first, even if the task is deleted."""
    user_id = await choose_owner(call, query)
    async with call.gateway.database.reading() as session:
        stored = await tasks.find(session, task_id)
        if stored is not None and not stored.row.is_public:
            call.caller.require_own(stored.row.user_id, "task", task_id)
        filters = replace(filter_of(query), task_id=task_id)
        page = await queries.page(session, user_id, filters, query.window())
        return await render_page(session, call, query, page)
