"""Tasks and their immutable versions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ColumnElement, Text, and_, cast, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain.schedules.schedule import TaskSchedule
from persistence.db.paging import (
    COUNTED,
    PAGE_BYTES,
    Page,
    Window,
    matching,
    newest,
    owned_by,
    read_bounded,
)
from persistence.db.raw_connection import Connected, fetch_rows
from persistence.definitions import schedules
from persistence.definitions.named_resources import flush_unique
from persistence.sessions.timeline import TimelinePage, TimelineRange
from persistence.tables.definitions import TaskRow, TaskVersionRow


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task and the definition of its newest version (a `TaskDefinition` as JSON)."""

    row: TaskRow
    definition: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Filters for a list of tasks: all of `tags`, and `text` in the name or the description."""

    tags: Sequence[str] = ()
    is_scheduled: bool | None = None
    is_active: bool | None = None
    text: str | None = None
    include_deleted: bool = False
    """Also the user's own deleted tasks."""


async def create(session: AsyncSession, row: TaskRow, definition: dict[str, Any]) -> StoredTask:
    """Store a task with its first version.

    Raises:
        DuplicateNameError: the user has a task with this name.
    """
    row.version = 1
    session.add(row)
    await _flush(session, row)
    session.add(_version(row, definition, row.user_id))
    await session.flush()
    await schedules.store_change(session, row.id, None, _schedule(row, definition))
    return StoredTask(row, definition)


async def find(session: AsyncSession, task_id: UUID, *, lock: bool = False) -> StoredTask | None:
    """The task unless it is deleted; with `lock` no other transaction changes it meanwhile."""
    query = (
        select(TaskRow, TaskVersionRow.definition)
        .join(
            TaskVersionRow,
            and_(TaskVersionRow.task_id == TaskRow.id, TaskVersionRow.version == TaskRow.version),
        )
        .where(TaskRow.id == task_id, TaskRow.deleted_at.is_(None))
    )
    if lock:
        # Lock first: a join that waits for a lock reads the version from before the wait.
        await session.execute(select(TaskRow.id).where(TaskRow.id == task_id).with_for_update())
    found = (await session.execute(query)).one_or_none()
    return None if found is None else StoredTask(found[0], found[1])


_COLUMNS = TaskRow.__table__.columns

_READ = text(f"""
SELECT {", ".join(f"t.{column.name}" for column in _COLUMNS)}, v.definition
FROM tasks t JOIN task_versions v ON v.task_id = t.id AND v.version = t.version
WHERE t.id = :task_id AND t.deleted_at IS NULL
""").columns(*_COLUMNS, definition=JSON)  # noqa: S608 - our own names


async def read(on: Connected, task_id: UUID) -> StoredTask | None:
    """As `find`, for a caller that does not change the task: the row is in no session."""
    for found in await fetch_rows(on, _READ, {"task_id": task_id}):
        columns = {column.name: getattr(found, column.name) for column in _COLUMNS}
        return StoredTask(TaskRow(**columns), found.definition)
    return None


NAMESAKES = 10
"""Public tasks with the same name that are read (chosen)."""


async def find_by_name(session: AsyncSession, user_id: UUID, name: str) -> Sequence[StoredTask]:
    """The user's task with this name; if there is none, the public ones of other users."""
    query = select(TaskRow, TaskVersionRow.definition).join(
        TaskVersionRow,
        and_(TaskVersionRow.task_id == TaskRow.id, TaskVersionRow.version == TaskRow.version),
    )
    named = (TaskRow.name == name, TaskRow.deleted_at.is_(None))
    # Two queries, so that each uses an index of its own.
    found = await session.execute(query.where(TaskRow.user_id == user_id, *named))
    if own := found.one_or_none():
        return [StoredTask(own[0], own[1])]
    public = query.where(TaskRow.is_public, *named).order_by(TaskRow.id).limit(NAMESAKES)
    return [StoredTask(row, definition) for row, definition in await session.execute(public)]


async def find_names(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The names of these tasks, also of deleted ones."""
    found = await session.execute(select(TaskRow.id, TaskRow.name).where(TaskRow.id.in_(ids)))
    return {row.id: row.name for row in found}


async def page(
    session: AsyncSession,
    user_id: UUID | None,
    narrowed: TaskFilter,
    window: Window,
    *,
    with_shared: bool = True,
) -> Page[TaskRow]:
    """The user's tasks and the public ones of others, or those of all users."""
    narrow, kept = _conditions(narrowed), TaskRow.deleted_at.is_(None)
    if user_id is None or not with_shared:
        theirs = and_(kept, *owned_by(TaskRow.user_id, user_id), *narrow)
        return await newest(session, TaskRow, TaskRow.id, [theirs], window)
    own = and_(TaskRow.user_id == user_id, *narrow, *(() if narrowed.include_deleted else (kept,)))
    shared = and_(TaskRow.is_public, TaskRow.user_id != user_id, kept, *narrow)
    return await newest(session, TaskRow, TaskRow.id, [own, shared], window)


async def load_definitions(
    session: AsyncSession, page: Page[TaskRow]
) -> tuple[Page[TaskRow], list[StoredTask]]:
    """The page with the definitions of the newest versions; it ends before `PAGE_BYTES`."""
    size = func.octet_length(cast(TaskVersionRow.definition, Text)).label("size")
    keys = [(row.id, row.version) for row in page.rows]
    current = tuple_(TaskVersionRow.task_id, TaskVersionRow.version)
    sizes = await session.execute(select(TaskVersionRow.task_id, size).where(current.in_(keys)))
    rows = _take(page.rows, {found.task_id: found.size for found in sizes})
    found = await session.execute(
        select(TaskVersionRow.task_id, TaskVersionRow.definition).where(
            current.in_(keys[: len(rows)])
        )
    )
    definitions = {row.task_id: row.definition for row in found}
    shortened = replace(page, rows=rows, has_more=page.has_more or len(rows) < len(page.rows))
    return shortened, [StoredTask(row, definitions[row.id]) for row in rows]


def _take(rows: Sequence[TaskRow], sizes: Mapping[UUID, int]) -> Sequence[TaskRow]:
    """The first rows, until their definitions have `PAGE_BYTES`."""
    total = 0
    for position, row in enumerate(rows, 1):
        total += sizes[row.id]
        if total >= PAGE_BYTES:
            return rows[:position]
    return rows


async def page_versions(
    session: AsyncSession, task_id: UUID, span: TimelineRange
) -> TimelinePage[TaskVersionRow]:
    """Versions, newest first; the cursor is the version, after which older ones follow."""
    total = await session.scalar(
        select(func.max(TaskVersionRow.version)).where(TaskVersionRow.task_id == task_id)
    )
    query = select(TaskVersionRow).where(TaskVersionRow.task_id == task_id)
    if span.after is not None:
        query = query.where(TaskVersionRow.version < span.after)
    rows, has_more = await read_bounded(
        session,
        TaskVersionRow,
        query.offset(span.offset),
        [TaskVersionRow.version],
        span.limit,
        newest_first=True,
    )
    # Versions are numbered without gaps, so the newest number is their count.
    count = total or 0
    last = rows[-1].version if has_more else None
    return TimelinePage(rows, min(count, COUNTED), count > COUNTED, last)


async def find_version(session: AsyncSession, task_id: UUID, version: int) -> TaskVersionRow | None:
    """One version of a task."""
    return await session.get(TaskVersionRow, (task_id, version))


async def change(
    session: AsyncSession,
    task: StoredTask,
    values: Mapping[str, Any],
    definition: dict[str, Any],
    *,
    by: UUID,
) -> StoredTask:
    """Set columns of a locked task; another definition becomes its next version.

    Raises:
        DuplicateNameError: the user has another task with the new name.
    """
    row = task.row
    before = _schedule(row, task.definition)
    for column, value in values.items():
        setattr(row, column, value)
    if definition != task.definition:
        row.version += 1
        session.add(_version(row, definition, by))
    row.updated_at = datetime.now(UTC)
    await _flush(session, row)
    await schedules.store_change(session, row.id, before, _schedule(row, definition))
    return StoredTask(row, definition)


async def delete(session: AsyncSession, row: TaskRow) -> None:
    """Mark a locked task as deleted; its executions stay readable, its schedule is deleted."""
    scheduled = schedules.schedule_of(row, None)
    row.deleted_at = row.updated_at = datetime.now(UTC)
    await session.flush()
    await schedules.store_change(session, row.id, scheduled, None)


def _schedule(row: TaskRow, definition: Mapping[str, Any]) -> TaskSchedule | None:
    return schedules.schedule_of(row, definition.get("agent_id"))


def _version(row: TaskRow, definition: dict[str, Any], by: UUID) -> TaskVersionRow:
    return TaskVersionRow(task_id=row.id, version=row.version, definition=definition, created_by=by)


def _conditions(narrowed: TaskFilter) -> list[ColumnElement[bool]]:
    exact = {"is_scheduled": narrowed.is_scheduled, "is_active": narrowed.is_active}
    conditions = matching(TaskRow, exact)
    if narrowed.tags:
        conditions.append(TaskRow.tags.contains(list(narrowed.tags)))
    if narrowed.text:
        conditions.append(
            or_(
                TaskRow.name.icontains(narrowed.text, autoescape=True),
                TaskRow.description.icontains(narrowed.text, autoescape=True),
            )
        )
    return conditions


async def _flush(session: AsyncSession, row: TaskRow) -> None:
    taken = f"You already have a task named {row.name!r}; choose another name or change that task."
    await flush_unique(session, "uq_tasks_user_id_name_current", taken)
