"""Creates, changes and deletes tasks."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from persistence.definitions import tasks
from persistence.definitions.tasks import StoredTask
from persistence.tables.definitions import TaskRow
from services.definitions import references, task_rules
from services.definitions.inputs import (
    DEFINITION_FIELDS,
    TaskCreate,
    TaskUpdate,
    enable_given_schedule,
)
from services.definitions.updates import merge_update
from services.executions.access import get_own_task
from services.unit_of_work import Precondition, UnitOfWork
from services.validation_messages import require_name

UNCHECKED_FIELDS = frozenset(
    {"name", "description", "tags", "is_active", "schedule_enabled", "artifact_retention_seconds"}
)
"""Fields that can still be changed if the rest of the task has become invalid since."""

TASK_FIELDS = frozenset(TaskCreate.model_fields) - DEFINITION_FIELDS
"""Fields of the task itself; the others are versioned."""


async def create_task(
    work: UnitOfWork, body: TaskCreate, *, template_id: UUID | None = None
) -> StoredTask:
    """Store a task with its first version."""
    require_name(body.name)
    checked = await task_rules.check_task(work, body, owner_id=work.caller.user_id)
    await work.check_storage(work.caller.user_id, body)
    columns = {**_columns(body), "entered_tools": references.lists_with_groups(body) or None}
    row = TaskRow(user_id=work.caller.user_id, **columns)
    stored = await tasks.create(work.session, row, checked.to_json())
    after = {"name": row.name} | ({"template_id": str(template_id)} if template_id else {})
    await work.record_audit("task.create", ("task", row.id), after=after)
    if row.is_scheduled:
        work.synchronise_schedule(row.id)
    return stored


async def update_task(
    work: UnitOfWork, task_id: UUID, update: TaskUpdate, precondition: Precondition
) -> StoredTask:
    """Change a task. Executions in progress keep the version they started with."""
    stored = await get_own_task(work.session, work.caller, task_id)
    precondition(stored)
    if not stored.row.is_scheduled:
        update = enable_given_schedule(update)
    return await _change(work, stored, update)


async def delete_task(work: UnitOfWork, task_id: UUID, precondition: Precondition) -> None:
    """Delete a task. Its executions stay readable; its schedule is removed."""
    stored = await get_own_task(work.session, work.caller, task_id)
    precondition(stored)
    await tasks.delete(work.session, stored.row)
    await work.record_audit(
        "task.delete",
        ("task", task_id),
        before={"name": stored.row.name},
        owner_id=stored.row.user_id,
    )
    work.synchronise_schedule(task_id)


async def is_deleted(work: UnitOfWork, task_id: UUID) -> bool:
    """Whether this is a task of the caller that was deleted before."""
    row = await work.session.get(TaskRow, task_id)
    return row is not None and row.deleted_at is not None and work.caller.owns(row.user_id)


async def enable_schedule(work: UnitOfWork, task_id: UUID, *, is_enabled: bool) -> StoredTask:
    """Resume or pause the schedule of a task. A repeat changes nothing.

    Raises:
        ConflictError: it has no schedule.
    """
    stored = await get_own_task(work.session, work.caller, task_id)
    task_rules.require_schedule(stored.row)
    if stored.row.schedule_enabled == is_enabled:
        work.synchronise_schedule(task_id)
        return stored
    return await _change(work, stored, TaskUpdate.model_validate({"schedule_enabled": is_enabled}))


async def _change(work: UnitOfWork, stored: StoredTask, update: TaskUpdate) -> StoredTask:
    checked = body = _merge(stored, update)
    require_name(body.name, before=stored.row.name)
    if not update.model_fields_set <= UNCHECKED_FIELDS:
        before = _merge(stored, TaskUpdate())
        checked = await task_rules.check_task(
            work, body, owner_id=stored.row.user_id, before=before
        )
        if not update.model_fields_set <= TASK_FIELDS:  # a new version
            await work.check_storage(stored.row.user_id, body)
    audited = _audited_fields(stored.row, update)
    columns = {**_columns(body), "entered_tools": _merge_entered_tools(stored.row, update, body)}
    changed = await tasks.change(
        work.session, stored, columns, checked.to_json(), by=work.caller.user_id
    )
    await work.record_audit(
        "task.update",
        ("task", stored.row.id),
        before=audited,
        after=_audited_fields(changed.row, update),
        owner_id=changed.row.user_id,
    )
    work.synchronise_schedule(stored.row.id)
    return changed


def _merge(stored: StoredTask, update: TaskUpdate) -> TaskCreate:
    """Return the task with the fields of the update in place of its own."""
    current = {f: getattr(stored.row, f) for f in TASK_FIELDS} | stored.definition
    return merge_update(TaskCreate, current, update, what="task")


def _merge_entered_tools(
    row: TaskRow, update: TaskUpdate, body: TaskCreate
) -> dict[str, list[str]] | None:
    """Return the tool lists that name groups; a list that is not updated keeps its rules."""
    kept = {f: v for f, v in (row.entered_tools or {}).items() if f not in update.model_fields_set}
    return {**kept, **references.lists_with_groups(body)} or None


def _columns(body: TaskCreate) -> dict[str, Any]:
    columns = {field: getattr(body, field) for field in TASK_FIELDS}
    return {**columns, "tags": list(body.tags)}


def _audited_fields(row: TaskRow, update: TaskUpdate) -> Mapping[str, Any]:
    """Return the changed fields of the task itself, and its version, for the audit log."""
    changed = update.model_fields_set - DEFINITION_FIELDS - {"description"}
    return {**{f: getattr(row, f) for f in sorted(changed)}, "version": row.version}
