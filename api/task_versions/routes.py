"""Versions of a task; users who can read the task can read all versions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from api import views
from api.http.paging import LAST_SEQ, PAGE_SIZE, Listing, PageSize, StoryQuery, listing
from api.http.request_context import Called
from api.http.responses import answer, single
from api.task_versions.schemas import TaskVersionRead
from domain.errors import NotFoundError
from persistence.definitions import tasks
from services.executions.access import readable_task

router = APIRouter(prefix="/tasks", tags=["tasks"])


class VersionQuery(StoryQuery):
    """The page of versions, newest first; each contains a complete definition."""

    page_size: PageSize = PAGE_SIZE


@router.get("/{task_id}/versions", responses={200: {"model": Listing[TaskVersionRead]}})
async def list_versions(
    call: Called, task_id: UUID, query: Annotated[VersionQuery, Query()]
) -> Response:
    """List the versions of a task, newest first."""
    async with call.gateway.database.reading() as session:
        task = await readable_task(session, call.caller, task_id)
        page = await tasks.page_versions(session, task_id, query.span())
    items = [views.task_version(call, row, task.row.user_id) for row in page.rows]
    return answer(listing(call.request, query, page, items))


@router.get("/{task_id}/versions/{version}", responses={200: {"model": TaskVersionRead}})
async def get_version(
    call: Called, task_id: UUID, version: Annotated[int, Path(ge=1, le=LAST_SEQ)]
) -> Response:
    """Get a version of a task."""
    async with call.gateway.database.reading() as session:
        task = await readable_task(session, call.caller, task_id)
        row = await tasks.find_version(session, task_id, version)
    if row is None:
        raise NotFoundError(f"Version {version} of this task does not exist.")
    return single(call.request, views.task_version(call, row, task.row.user_id))
