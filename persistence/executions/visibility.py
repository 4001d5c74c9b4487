"""Tasks and sessions that a user can't read, so responses contain no link to them."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import and_, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.tables.definitions import TaskRow
from persistence.tables.sessions import SessionRow


async def find_unreadable(
    session: AsyncSession,
    *,
    task_ids: Iterable[UUID | None],
    session_ids: Iterable[UUID | None] = (),
    by: UUID | None,
) -> frozenset[UUID]:
    """Those that are deleted, and other users' private tasks; `by` is None for an admin.

    The owner of an execution can read its session, so only a deletion counts there.
    """
    tasks, conversations = set(task_ids) - {None}, set(session_ids) - {None}
    if not tasks and not conversations:
        return frozenset()
    is_anothers = and_(TaskRow.user_id != by, ~TaskRow.is_public) if by is not None else None
    is_deleted = TaskRow.deleted_at.is_not(None)
    found = await session.scalars(
        union_all(
            select(TaskRow.id).where(
                TaskRow.id.in_(tasks),
                is_deleted if is_anothers is None else or_(is_deleted, is_anothers),
            ),
            select(SessionRow.id).where(
                SessionRow.id.in_(conversations), SessionRow.deleted_at.is_not(None)
            ),
        )
    )
    return frozenset(found.all())
