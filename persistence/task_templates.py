"""Templates that tasks are made from."""

from uuid import UUID

from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.names import flush_named
from persistence.pages import Page, Window, newest
from persistence.tables.task_templates import TaskTemplateRow


async def find(
    session: AsyncSession, template_id: UUID, *, lock: bool = False
) -> TaskTemplateRow | None:
    """A template; with `lock` nobody else changes it in this transaction."""
    return await session.get(
        TaskTemplateRow, template_id, with_for_update=lock or None, populate_existing=lock
    )


async def save(session: AsyncSession, row: TaskTemplateRow) -> None:
    """Store a new template, or a locked one that has changed.

    Raises:
        DuplicateNameError: the user has another one of this name.
    """
    session.add(row)
    taken = f"You have a task template {row.name!r} already; choose another name."
    await flush_named(session, "uq_task_templates_user_id_name", taken)


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[TaskTemplateRow]:
    """The user's templates and the public ones of others, newest first."""
    mine = TaskTemplateRow.user_id == user_id
    shared = and_(TaskTemplateRow.is_public, TaskTemplateRow.user_id != user_id)
    return await newest(session, TaskTemplateRow, TaskTemplateRow.id, [mine, shared], window)


async def delete(session: AsyncSession, row: TaskTemplateRow) -> None:
    """Forget a locked template; tasks made from it stay."""
    await session.delete(row)
    await session.flush()
