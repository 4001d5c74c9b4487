"""Routes of tasks, their versions and dry runs."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.oversight import choose_owner
from api.http.paging import LAST_SEQ, PAGE_SIZE, Listing, PageSize, TimelineQuery
from api.http.rendering import render_items
from api.http.request_context import Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import single
from api.links import BASE
from api.tasks.dry_run_views import respond_dry_run
from api.tasks.schemas import (
    DryRunRead,
    TaskQuery,
    TaskRead,
    TaskVersionRead,
    render_task,
    render_task_version,
)
from domain.errors import NotFoundError
from persistence.definitions import tasks
from services.definitions import tasks as services
from services.definitions.inputs import TaskCreate, TaskUpdate
from services.executions import dry_running
from services.executions.access import get_readable_task
from services.executions.inputs import DryRunBody

router = APIRouter(prefix=f"{BASE}/tasks", tags=["tasks"])


class VersionQuery(TimelineQuery):
    """A page of versions, newest first; each contains a whole definition."""

    page_size: PageSize = PAGE_SIZE


routes = ResourceRoutes(router, "task", TaskRead, render_task, "/{task_id}", path_key("task_id"))
routes.add_create(services.create_task, TaskCreate, "Create a task.")
routes.add_get(get_readable_task, "Get a task.")
routes.add_update(
    services.update_task,
    TaskUpdate,
    "Change a task. Executions in progress keep the version they started with.",
)
routes.add_delete(services.delete_task, "Delete a task. Its executions stay readable.")


@router.get("", responses={200: {"model": Listing[TaskRead]}})
async def list_tasks(call: Called, query: Annotated[TaskQuery, Query()]) -> Response:
    """List your tasks and the public ones, newest first."""
    me = call.principal.user_id
    user_id = await choose_owner(call, query)
    async with call.gateway.database.reading() as session:
        page = await tasks.page(
            session, user_id, query.filter(), query.window(), with_shared=user_id == me
        )
        page, stored = await tasks.load_definitions(session, page)
    return render_items(call, query, page, [render_task(call, task) for task in stored])


@router.get("/{task_id}/versions", responses={200: {"model": Listing[TaskVersionRead]}})
async def list_versions(
    call: Called, task_id: UUID, query: Annotated[VersionQuery, Query()]
) -> Response:
    """List the versions of a task, newest first."""
    async with call.gateway.database.reading() as session:
        task = await get_readable_task(session, call.caller, task_id)
        page = await tasks.page_versions(session, task_id, query.span())
    items = [render_task_version(call, task, row) for row in page.rows]
    return render_items(call, query, page, items)


@router.get("/{task_id}/versions/{version}", responses={200: {"model": TaskVersionRead}})
async def get_version(
    call: Called, task_id: UUID, version: Annotated[int, Path(ge=1, le=LAST_SEQ)]
) -> Response:
    """Get a version of a task."""
    async with call.gateway.database.reading() as session:
        task = await get_readable_task(session, call.caller, task_id)
        row = await tasks.find_version(session, task_id, version)
    if row is None:
        raise NotFoundError(f"The task has no version {version}.")
    return single(call.request, render_task_version(call, task, row))


@router.post("/{task_id}/dry-run", responses={200: {"model": DryRunRead}})
async def dry_run(
    call: Called,
    task_id: UUID,
    body: Annotated[DryRunBody, Depends(JsonBody(DryRunBody, optional=True))],
) -> Response:
    """Get what an execution would be, and what past executions suggest about its cost and time.

    The response is an error if the task could not be executed. No model is called, and nothing is
    started or stored.
    """
    service = partial(dry_running.dry_run, task_id=task_id, body=body)
    return await run_service(call, service, respond_dry_run, dry_run=True)
