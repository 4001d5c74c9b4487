"""Task templates: definitions with parameters from which tasks are created."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.http import rendering
from api.http.bodies import JsonBody
from api.http.dry_run import DryRun, created
from api.http.idempotency import run_once, run_service
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.task_templates.schemas import TaskTemplateRead
from api.tasks.schemas import TaskRead
from domain.errors import InvalidInputError, NotFoundError
from persistence.definitions import named_resources
from persistence.ledger import audit
from persistence.tables.task_templates import TaskTemplateRow
from services.definitions import task_rules, template_filling
from services.definitions.inputs import (
    TaskFromTemplate,
    TaskTemplateCreate,
    TaskTemplateUpdate,
)
from services.definitions.merging import merged
from services.definitions.task_templates import create_task_from_template as from_template
from services.unit_of_work import UnitOfWork

router = APIRouter(prefix="/task-templates", tags=["task templates"])


@router.post("", status_code=201, responses=created(TaskTemplateRead))
async def create_task_template(
    call: Called,
    body: Annotated[TaskTemplateCreate, Depends(JsonBody(TaskTemplateCreate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create a template."""

    async def create(session: AsyncSession) -> tuple[Response, None]:
        user_id = call.principal.user_id
        await _check(session, call, body, user_id)
        row = TaskTemplateRow(user_id=user_id, **_columns(body))
        await named_resources.save(session, row)
        entity = ("task_template", row.id)
        await audit.record(session, call.actor, "task_template.create", entity, after=_told(row))
        read = views.task_template(row)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), None

    return (await run_once(call, create, dry_run=dry_run)).response


@router.get("", responses={200: {"model": Listing[TaskTemplateRead]}})
async def list_task_templates(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """List your templates and the public ones, newest first."""
    async with call.gateway.database.reading() as session:
        page = await named_resources.page(
            session, TaskTemplateRow, call.principal.user_id, query.window()
        )
    items = [views.task_template(row) for row in page.rows]
    return answer(listing(call.request, query, page, items))


@router.get("/{template_id}", responses={200: {"model": TaskTemplateRead}})
async def get_task_template(call: Called, template_id: UUID) -> Response:
    """Get a template."""
    async with call.gateway.database.reading() as session:
        row = await _readable(session, call, template_id)
    return single(call.request, views.task_template(row))


@router.patch("/{template_id}", responses={200: {"model": TaskTemplateRead}})
async def update_task_template(
    call: Called,
    template_id: UUID,
    update: Annotated[TaskTemplateUpdate, Depends(JsonBody(TaskTemplateUpdate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Change a template. Tasks that were created from it do not change."""
    async with call.gateway.database.transaction(keep=not dry_run) as session:
        row = await _own_locked(session, call, template_id)
        require_match(call.request, views.task_template(row))
        current = {field: getattr(row, field) for field in TaskTemplateCreate.model_fields}
        body = merged(TaskTemplateCreate, current, update, what="template")
        await _check(session, call, body, row.user_id)
        before = _told(row)
        for column, value in _columns(body).items():
            setattr(row, column, value)
        row.updated_at = datetime.now(UTC)
        await named_resources.save(session, row)
        await audit.record(
            session,
            call.actor,
            "task_template.update",
            ("task_template", template_id),
            before=before,
            after=_told(row),
            owner_id=row.user_id,
        )
        read = views.task_template(row)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.delete("/{template_id}", status_code=204)
async def delete_task_template(call: Called, template_id: UUID) -> Response:
    """Delete a template. Tasks that were created from it remain."""
    async with call.gateway.database.transaction() as session:
        row = await _own_locked(session, call, template_id)
        require_match(call.request, views.task_template(row))
        await named_resources.delete(session, row)
        entity, owner, before = ("task_template", template_id), row.user_id, _told(row)
        action = "task_template.delete"
        await audit.record(session, call.actor, action, entity, before=before, owner_id=owner)
    return Response(status_code=204)


@router.post("/{template_id}/create-task", status_code=201, responses=created(TaskRead))
async def create_task_from_template(
    call: Called,
    template_id: UUID,
    body: Annotated[TaskFromTemplate, Depends(JsonBody(TaskFromTemplate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create a task from a template, with values for its parameters and changed fields."""
    service = partial(from_template, template_id=template_id, body=body)
    return await run_service(call, service, rendering.created(views.task), dry_run=dry_run)


async def _readable(session: AsyncSession, call: Call, template_id: UUID) -> TaskTemplateRow:
    row = await named_resources.find(session, TaskTemplateRow, template_id)
    if row is None:
        raise NotFoundError(f"Task template {template_id} does not exist.")
    if not row.is_public:
        call.require_own(row.user_id, "task template")
    return row


async def _own_locked(session: AsyncSession, call: Call, template_id: UUID) -> TaskTemplateRow:
    row = await named_resources.find(session, TaskTemplateRow, template_id, lock=True)
    if row is None:
        raise NotFoundError(f"Task template {template_id} does not exist.")
    call.require_own(row.user_id, "task template")
    return row


async def _check(
    session: AsyncSession, call: Call, body: TaskTemplateCreate, owner_id: UUID
) -> None:
    if problems := [
        *template_filling.parameter_problems(body),
        *template_filling.sharing_problems(body),
    ]:
        raise InvalidInputError("The template is invalid; see errors.", problems)
    await task_rules.check(
        UnitOfWork(session, call.caller, call.services),
        template_filling.pattern(body),
        owner_id=owner_id,
    )


def _columns(body: TaskTemplateCreate) -> dict[str, Any]:
    return {
        "name": body.name,
        "description": body.description,
        "is_public": body.is_public,
        "parameters": [p.model_dump(mode="json", exclude_unset=True) for p in body.parameters],
        "task": template_filling.stored(body.task),
    }


def _told(row: TaskTemplateRow) -> dict[str, Any]:
    return {"name": row.name, "is_public": row.is_public}
