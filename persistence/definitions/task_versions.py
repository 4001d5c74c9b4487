"""A task's versions: what its executions ran, and run."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.paging import COUNTED
from persistence.sessions.timeline import TimelinePage, TimelineRange
from persistence.tables.tasks import TaskVersionRow


async def page(
    session: AsyncSession, task_id: UUID, span: TimelineRange
) -> TimelinePage[TaskVersionRow]:
    """Versions, newest first; the mark is the version, behind which older ones follow."""
    total = await session.scalar(
        select(func.max(TaskVersionRow.version)).where(TaskVersionRow.task_id == task_id)
    )
    query = select(TaskVersionRow).where(TaskVersionRow.task_id == task_id)
    if span.after is not None:
        query = query.where(TaskVersionRow.version < span.after)
    ordered = query.order_by(TaskVersionRow.version.desc()).offset(span.offset)
    found = (await session.scalars(ordered.limit(span.limit + 1))).all()
    rows = found[: span.limit]
    # They are numbered without gaps, so that the newest number is their count.
    count = total or 0
    last = rows[-1].version if len(found) > span.limit else None
    return TimelinePage(rows, min(count, COUNTED), count > COUNTED, last)


async def find(session: AsyncSession, task_id: UUID, version: int) -> TaskVersionRow | None:
    """One version of a task."""
    return await session.get(TaskVersionRow, (task_id, version))
