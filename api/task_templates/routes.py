"""Routes of task templates: tasks with parameters, from which tasks are created."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.rendering import DryRun, created_responses, render_created
from api.http.request_context import Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.schemas import Read, view_of
from api.links import BASE
from api.tasks.schemas import TaskRead, render_task
from services.definitions import task_templates
from services.definitions.inputs import TaskFromTemplate, TaskTemplateCreate, TaskTemplateUpdate
from services.definitions.task_templates import TASK_TEMPLATES


class TaskTemplateRead(Read):
    """A template; `task` is as it was sent."""

    paths = {"self": "/task-templates/{id}", "create_task": "/task-templates/{id}/create-task"}

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    is_public: bool
    parameters: list[dict[str, Any]]
    task: dict[str, Any]
    created_at: datetime
    updated_at: datetime


router = APIRouter(prefix=f"{BASE}/task-templates", tags=["task templates"])


routes = ResourceRoutes(
    router,
    "task_template",
    TaskTemplateRead,
    view_of(TaskTemplateRead),
    "/{template_id}",
    path_key("template_id"),
)
routes.add_create(TASK_TEMPLATES.create, TaskTemplateCreate, "Create a template.")
routes.add_list(TASK_TEMPLATES.page, "List your templates and the public ones, newest first.")
routes.add_get(TASK_TEMPLATES.find, "Get a template.")
routes.add_update(
    TASK_TEMPLATES.update,
    TaskTemplateUpdate,
    "Change a template. Tasks that were created from it stay as they are.",
)
routes.add_delete(TASK_TEMPLATES.delete, "Delete a template. Tasks that were created from it stay.")


@router.post("/{template_id}/create-task", status_code=201, responses=created_responses(TaskRead))
async def create_task_from_template(
    call: Called,
    template_id: UUID,
    body: Annotated[TaskFromTemplate, Depends(JsonBody(TaskFromTemplate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create a task from a template: fill in its parameters and override its fields."""
    service = partial(task_templates.create_task_from_template, template_id=template_id, body=body)
    return await run_service(call, service, render_created(render_task), dry_run=dry_run)
