"""Routes of tasks."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from api import views
from api.http import rendering
from api.http.bodies import JsonBody
from api.http.dry_run import DryRun, created
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery, listing
from api.http.rendering import if_match, no_content
from api.http.request_context import Called
from api.http.responses import answer, single
from api.tasks.schemas import TaskRead
from persistence.definitions import tasks
from persistence.definitions.tasks import TaskFilter
from services.definitions.inputs import TaskCreate, TaskUpdate
from services.definitions.tasks import create_task as create
from services.definitions.tasks import delete_task as delete
from services.definitions.tasks import update_task as update
from services.executions.access import readable_task

router = APIRouter(prefix="/tasks", tags=["tasks"])


class TaskQuery(ListQuery):
    """Filters of a list of tasks; `tags` may be repeated or separated by commas."""

    tags: list[str] = Field(default_factory=list)
    is_scheduled: bool | None = None
    is_active: bool | None = None
    q: Annotated[str | None, Field(max_length=200)] = None

    def filter(self) -> TaskFilter:
        """Return the filter for `persistence`."""
        tags = [tag.strip() for given in self.tags for tag in given.split(",") if tag.strip()]
        return TaskFilter(tags, self.is_scheduled, self.is_active, self.q)


@router.post("", status_code=201, responses=created(TaskRead))
async def create_task(
    call: Called,
    body: Annotated[TaskCreate, Depends(JsonBody(TaskCreate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create a task."""
    service = partial(create, body=body)
    return await run_service(call, service, rendering.created(views.task), dry_run=dry_run)


@router.get("", responses={200: {"model": Listing[TaskRead]}})
async def list_tasks(call: Called, query: Annotated[TaskQuery, Query()]) -> Response:
    """List your tasks and the public ones, newest first."""
    async with call.gateway.database.reading() as session:
        page = await tasks.page(session, call.principal.user_id, query.filter(), query.window())
        stored = await tasks.load_definitions(session, page.rows)
    return answer(listing(call.request, query, page, [views.task(call, task) for task in stored]))


@router.get("/{task_id}", responses={200: {"model": TaskRead}})
async def get_task(call: Called, task_id: UUID) -> Response:
    """Get a task."""
    async with call.gateway.database.reading() as session:
        stored = await readable_task(session, call.caller, task_id)
    return single(call.request, views.task(call, stored))


@router.patch("/{task_id}", responses={200: {"model": TaskRead}})
async def update_task(
    call: Called,
    task_id: UUID,
    body: Annotated[TaskUpdate, Depends(JsonBody(TaskUpdate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Change a task. Executions in progress keep the version they started with."""
    check = if_match(call, views.task)
    service = partial(update, task_id=task_id, update=body, precondition=check)
    return await run_service(call, service, rendering.changed(views.task), dry_run=dry_run)


@router.delete("/{task_id}", status_code=204)
async def delete_task(call: Called, task_id: UUID) -> Response:
    """Delete a task. Its executions remain readable."""
    service = partial(delete, task_id=task_id, precondition=if_match(call, views.task))
    return await run_service(call, service, no_content)
