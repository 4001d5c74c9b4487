"""Read and list executions."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.executions.schemas import ExecutionQuery, ExecutionRead, Narrowing
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from domain.errors import NotFoundError
from persistence.executions import queries
from persistence.executions.queries import ExecutionFilter
from persistence.executions.visibility import find_unreadable
from persistence.tables.executions import ExecutionRow

router = APIRouter(prefix="/task-executions", tags=["executions"])


@router.get("", responses={200: {"model": Listing[ExecutionRead]}})
async def list_executions(call: Called, query: Annotated[ExecutionQuery, Query()]) -> Response:
    """List your executions, newest first."""
    return await list_of_executions(call, query)


@router.get("/{execution_id}", responses={200: {"model": ExecutionRead}})
async def get_execution(call: Called, execution_id: UUID) -> Response:
    """Get an execution."""
    columns = await call.gateway.cached_reads.execution(execution_id)
    if columns is None:
        raise NotFoundError(f"Execution {execution_id} does not exist.")
    call.require_own(columns["user_id"], "execution")
    return single(call.request, views.execution_of(call, columns))


@router.get("/{execution_id}/children", responses={200: {"model": Listing[ExecutionRead]}})
async def list_children(
    call: Called, execution_id: UUID, query: Annotated[ListQuery, Query()]
) -> Response:
    """List the subtasks of an execution, newest first."""
    async with call.gateway.database.reading() as session:
        parent = await own_execution(session, call, execution_id)
        narrowed = ExecutionFilter(parent_id=execution_id)
        page = await queries.page(session, parent.user_id, narrowed, query.window())
        items = await readable_views(session, call, page.rows)
    return answer(listing(call.request, query, page, items))


async def list_of_executions(
    call: Call, query: ExecutionQuery, *, task_id: UUID | None = None
) -> Response:
    """A page of the caller's executions, optionally of one task."""
    narrowed = narrowed_by(query)
    if task_id is not None:
        narrowed = replace(narrowed, task_id=task_id)
    async with call.gateway.database.reading() as session:
        page = await queries.page(session, call.principal.user_id, narrowed, query.window())
        items = await readable_views(session, call, page.rows)
    return answer(listing(call.request, query, page, items))


async def readable_views(
    session: AsyncSession, call: Call, rows: Sequence[ExecutionRow]
) -> list[ExecutionRead]:
    """Executions with links to the objects that the caller can read."""
    hidden = await find_unreadable(
        session,
        task_ids=[row.task_id for row in rows],
        session_ids=[row.session_id for row in rows],
        by=call.sees_as,
    )
    return [views.execution(call, row, hidden) for row in rows]


def narrowed_by(given: Narrowing) -> ExecutionFilter:
    """The filter for the database."""
    names = {field.name for field in fields(ExecutionFilter)}
    same = {name: value for name, value in given if name in names}
    return ExecutionFilter(statuses=given.status, **same)


async def own_execution(
    session: AsyncSession, call: Call, execution_id: UUID, *, fresh: bool = False
) -> ExecutionRow:
    """An execution of the caller; `fresh` reads it again in a transaction.

    Raises:
        NotFoundError: the execution does not exist.
        PermissionDeniedError: it belongs to another user.
    """
    row = await queries.find(session, execution_id, fresh=fresh)
    if row is None:
        raise NotFoundError(f"Execution {execution_id} does not exist.")
    call.require_own(row.user_id, "execution")
    return row
