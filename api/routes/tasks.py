"""Tasks: create, read, list, change, delete."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import task_rules, views
from api.bodies import JsonBody
from api.calls import Call, Called
from api.idempotency import once
from api.merging import merged
from api.pages import Listing, ListQuery, listing
from api.responses import answer, etag, require_match, single, to_json
from api.schemas.tasks import DEFINITION_FIELDS, TaskCreate, TaskRead, TaskUpdate
from domain.errors import NotFoundError
from persistence import audit, tasks
from persistence.tables.tasks import TaskRow
from persistence.tasks import StoredTask, TaskFilter

router = APIRouter(prefix="/tasks", tags=["tasks"])

UNCHECKED = frozenset({"name", "description", "tags", "is_active"})
"""Changes that stay possible where the rest of a task has become invalid since it was stored."""


class TaskQuery(ListQuery):
    """What a list of tasks can be narrowed by; `tags` may be repeated or separated by commas."""

    tags: list[str] = Field(default_factory=list)
    is_scheduled: bool | None = None
    is_active: bool | None = None
    q: Annotated[str | None, Field(max_length=200)] = None

    def narrowed(self) -> TaskFilter:
        """The filter behind it."""
        tags = [tag.strip() for given in self.tags for tag in given.split(",") if tag.strip()]
        return TaskFilter(tags, self.is_scheduled, self.is_active, self.q)


@router.post("", status_code=201, responses={201: {"model": TaskRead}})
async def create_task(
    call: Called, body: Annotated[TaskCreate, Depends(JsonBody(TaskCreate))]
) -> Response:
    """Store a new task."""

    async def create(session: AsyncSession) -> tuple[Response, None]:
        await task_rules.check(session, call, body, owner_id=call.principal.user_id)
        row = TaskRow(user_id=call.principal.user_id, **_columns(body))
        stored = await tasks.create(session, row, body.stored())
        entity = ("task", row.id)
        await audit.record(session, call.actor, "task.create", entity, after={"name": row.name})
        read = views.task(stored)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), None

    return (await once(call, create)).response


@router.get("", responses={200: {"model": Listing}})
async def list_tasks(call: Called, query: Annotated[TaskQuery, Query()]) -> Response:
    """My tasks and the public ones, newest first."""
    async with call.gateway.database.reading() as session:
        page = await tasks.page(session, call.principal.user_id, query.narrowed(), query.window())
        stored = await tasks.with_definitions(session, page.rows)
    return answer(listing(call.request, query, page, [views.task(task) for task in stored]))


@router.get("/{task_id}", responses={200: {"model": TaskRead}})
async def get_task(call: Called, task_id: UUID) -> Response:
    """One task."""
    async with call.gateway.database.reading() as session:
        stored = await readable_task(session, call, task_id)
    return single(call.request, views.task(stored))


@router.patch("/{task_id}", responses={200: {"model": TaskRead}})
async def update_task(
    call: Called,
    task_id: UUID,
    update: Annotated[TaskUpdate, Depends(JsonBody(TaskUpdate))],
) -> Response:
    """Change a task. Executions in flight keep the version they started with."""
    async with call.gateway.database.transaction() as session:
        stored = await _own_locked(session, call, task_id)
        require_match(call.request, views.task(stored))
        body = _merged(stored, update)
        if not update.model_fields_set <= UNCHECKED:
            await task_rules.check(session, call, body, owner_id=stored.row.user_id)
        before = _summary(stored.row, update)
        changed = await tasks.change(
            session, stored, _columns(body), body.stored(), by=call.principal.user_id
        )
        after = {**_summary(changed.row, update), "version": changed.row.version}
        entity = ("task", task_id)
        await audit.record(
            session,
            call.actor,
            "task.update",
            entity,
            before=before,
            after=after,
            owner_id=changed.row.user_id,
        )
    read = views.task(changed)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.delete("/{task_id}", status_code=204)
async def delete_task(call: Called, task_id: UUID) -> Response:
    """Delete a task; its executions stay readable."""
    async with call.gateway.database.transaction() as session:
        stored = await _own_locked(session, call, task_id)
        require_match(call.request, views.task(stored))
        await tasks.delete(session, stored.row)
        entity = ("task", task_id)
        before, owner = {"name": stored.row.name}, stored.row.user_id
        action = "task.delete"
        await audit.record(session, call.actor, action, entity, before=before, owner_id=owner)
    return Response(status_code=204)


async def readable_task(session: AsyncSession, call: Call, task_id: UUID) -> StoredTask:
    """A task the caller may read and execute: their own, or a public one.

    Raises:
        NotFoundError: there is none.
        PermissionDeniedError: it is somebody else's and not shared.
    """
    stored = await tasks.find(session, task_id)
    if stored is None:
        raise NotFoundError(f"There is no task {task_id}.")
    if not stored.row.is_public:
        call.require_own(stored.row.user_id, "task")
    return stored


async def _own_locked(session: AsyncSession, call: Call, task_id: UUID) -> StoredTask:
    stored = await tasks.find(session, task_id, lock=True)
    if stored is None:
        raise NotFoundError(f"There is no task {task_id}.")
    call.require_own(stored.row.user_id, "task")
    return stored


def _merged(stored: StoredTask, update: TaskUpdate) -> TaskCreate:
    """The task as it would be: what the update gives, over what there is."""
    current = {f: getattr(stored.row, f) for f in _own_fields()} | stored.definition
    return merged(TaskCreate, current, update, what="task")


def _own_fields() -> frozenset[str]:
    return frozenset(TaskCreate.model_fields) - DEFINITION_FIELDS


def _columns(body: TaskCreate) -> dict[str, Any]:
    """What stands in the task's row."""
    columns = {field: getattr(body, field) for field in _own_fields()}
    return {**columns, "tags": list(body.tags)}


def _summary(row: TaskRow, update: TaskUpdate) -> Mapping[str, Any]:
    """The changed switches for the audit log; what is versioned is told by its version."""
    named = update.model_fields_set - DEFINITION_FIELDS - {"description"}
    return {**{f: getattr(row, f) for f in sorted(named)}, "version": row.version}
