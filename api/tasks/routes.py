"""Create, read, list, change and delete tasks."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.http.bodies import JsonBody
from api.http.dry_run import DryRun, created
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.tasks.schemas import DEFINITION_FIELDS, TaskCreate, TaskRead, TaskUpdate
from domain.errors import NotFoundError
from persistence.definitions import tasks
from persistence.definitions.tasks import StoredTask, TaskFilter
from persistence.ledger import audit
from persistence.tables.tasks import TaskRow
from services.definitions import references, task_rules
from services.definitions.merging import merged
from services.definitions.scheduling import keep_in_step

router = APIRouter(prefix="/tasks", tags=["tasks"])

UNCHECKED = frozenset({"name", "description", "tags", "is_active", "schedule_enabled"})
"""Fields that can be changed even if the rest of the stored task has become invalid."""


class TaskQuery(ListQuery):
    """Filters for tasks; `tags` can be repeated or contain commas."""

    tags: list[str] = Field(default_factory=list)
    is_scheduled: bool | None = None
    is_active: bool | None = None
    q: Annotated[str | None, Field(max_length=200)] = None

    def narrowed(self) -> TaskFilter:
        """The filter for the database."""
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

    async def wanted(_: AsyncSession) -> TaskCreate:
        return body

    return await make_task(call, wanted, dry_run=dry_run)


@router.get("", responses={200: {"model": Listing[TaskRead]}})
async def list_tasks(call: Called, query: Annotated[TaskQuery, Query()]) -> Response:
    """List your tasks and the public ones, newest first."""
    async with call.gateway.database.reading() as session:
        page = await tasks.page(session, call.principal.user_id, query.narrowed(), query.window())
        stored = await tasks.with_definitions(session, page.rows)
    return answer(listing(call.request, query, page, [views.task(call, task) for task in stored]))


@router.get("/{task_id}", responses={200: {"model": TaskRead}})
async def get_task(call: Called, task_id: UUID) -> Response:
    """Get a task."""
    async with call.gateway.database.reading() as session:
        stored = await readable_task(session, call, task_id)
    return single(call.request, views.task(call, stored))


@router.patch("/{task_id}", responses={200: {"model": TaskRead}})
async def update_task(
    call: Called,
    task_id: UUID,
    update: Annotated[TaskUpdate, Depends(JsonBody(TaskUpdate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Change a task. Executions in flight keep the version that they started with."""
    async with call.gateway.database.transaction(keep=not dry_run) as session:
        stored = await own_locked(session, call, task_id)
        require_match(call.request, views.task(call, stored))
        changed = await change_task(session, call, stored, update)
        read = views.task(call, changed)
    if not dry_run:
        await keep_in_step(call.gateway, task_id)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.delete("/{task_id}", status_code=204)
async def delete_task(call: Called, task_id: UUID) -> Response:
    """Delete a task. Its executions remain readable."""
    async with call.gateway.database.transaction() as session:
        stored = await own_locked(session, call, task_id)
        require_match(call.request, views.task(call, stored))
        await tasks.delete(session, stored.row)
        entity = ("task", task_id)
        before, owner = {"name": stored.row.name}, stored.row.user_id
        action = "task.delete"
        await audit.record(session, call.actor, action, entity, before=before, owner_id=owner)
    await keep_in_step(call.gateway, task_id)
    return Response(status_code=204)


async def make_task(
    call: Call,
    wanted: Callable[[AsyncSession], Awaitable[TaskCreate]],
    *,
    template_id: UUID | None = None,
    dry_run: bool = False,
) -> Response:
    """Create a task, once per idempotency key, and return the response.

    Raises:
        InvalidInputError: the definition is invalid.
        PermissionDeniedError: the definition requires the admin role.
        DuplicateNameError: the caller has a task with this name.
    """

    async def create(session: AsyncSession) -> tuple[Response, StoredTask]:
        body = await wanted(session)
        runs = await task_rules.check(session, call, body, owner_id=call.principal.user_id)
        columns = {**_columns(body), "spelled_tools": references.spelled(body) or None}
        row = TaskRow(user_id=call.principal.user_id, **columns)
        stored = await tasks.create(session, row, runs.stored())
        after = {"name": row.name} | ({"template_id": str(template_id)} if template_id else {})
        await audit.record(session, call.actor, "task.create", ("task", row.id), after=after)
        read = views.task(call, stored)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), stored

    done = await run_once(call, create, dry_run=dry_run)
    if done.value is not None and done.value.row.is_scheduled:
        await keep_in_step(call.gateway, done.value.row.id)
    return done.response


async def change_task(
    session: AsyncSession, call: Call, stored: StoredTask, update: TaskUpdate
) -> StoredTask:
    """Change a locked task; the caller must update its schedule after the commit.

    Raises:
        InvalidInputError: the changed definition is invalid.
    """
    runs = body = _merged(stored, update)
    if not update.model_fields_set <= UNCHECKED:
        runs = await task_rules.check(session, call, body, owner_id=stored.row.user_id)
    before = _summary(stored.row, update)
    columns = {**_columns(body), "spelled_tools": _spelled(stored.row, update, body)}
    changed = await tasks.change(session, stored, columns, runs.stored(), by=call.principal.user_id)
    after = {**_summary(changed.row, update), "version": changed.row.version}
    await audit.record(
        session,
        call.actor,
        "task.update",
        ("task", stored.row.id),
        before=before,
        after=after,
        owner_id=changed.row.user_id,
    )
    return changed


async def readable_task(session: AsyncSession, call: Call, task_id: UUID) -> StoredTask:
    """A task that the caller can read and execute: their own, or a public one.

    Raises:
        NotFoundError: the task does not exist.
        PermissionDeniedError: it belongs to another user and is not public.
    """
    stored = await tasks.find(session, task_id)
    if stored is None:
        raise NotFoundError(f"Task {task_id} does not exist.")
    if not stored.row.is_public:
        call.require_own(stored.row.user_id, "task")
    return stored


async def own_locked(session: AsyncSession, call: Call, task_id: UUID) -> StoredTask:
    """A locked task of the caller.

    Raises:
        NotFoundError: the task does not exist.
        PermissionDeniedError: it belongs to another user.
    """
    stored = await tasks.find(session, task_id, lock=True)
    if stored is None:
        raise NotFoundError(f"Task {task_id} does not exist.")
    call.require_own(stored.row.user_id, "task")
    return stored


def _merged(stored: StoredTask, update: TaskUpdate) -> TaskCreate:
    """The stored task with the fields of the update."""
    current = {f: getattr(stored.row, f) for f in _own_fields()} | stored.definition
    return merged(TaskCreate, current, update, what="task")


def _spelled(row: TaskRow, update: TaskUpdate, body: TaskCreate) -> dict[str, list[str]] | None:
    """Tool lists that may name groups; lists that the update omits keep their rules."""
    kept = {f: v for f, v in (row.spelled_tools or {}).items() if f not in update.model_fields_set}
    return {**kept, **references.spelled(body)} or None


def _own_fields() -> frozenset[str]:
    return frozenset(TaskCreate.model_fields) - DEFINITION_FIELDS


def _columns(body: TaskCreate) -> dict[str, Any]:
    """The columns of the task's row."""
    columns = {field: getattr(body, field) for field in _own_fields()}
    return {**columns, "tags": list(body.tags)}


def _summary(row: TaskRow, update: TaskUpdate) -> Mapping[str, Any]:
    """Changed fields for the audit log; for versioned fields, the version is logged."""
    named = update.model_fields_set - DEFINITION_FIELDS - {"description"}
    return {**{f: getattr(row, f) for f in sorted(named)}, "version": row.version}
