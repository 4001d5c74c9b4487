"""Read stored reports."""

from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from persistence.db.paging import Page, Window, matching, newest
from persistence.tables.sessions import ReportRow


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Conditions for a list of reports."""

    task_id: UUID | None = None
    execution_id: UUID | None = None
    format: str | None = None


async def find_newest(session: AsyncSession, execution_id: UUID) -> ReportRow | None:
    """The newest report of an execution, with its content."""
    row: ReportRow | None = await session.scalar(
        select(ReportRow)
        .options(undefer(ReportRow.content))
        .where(ReportRow.execution_id == execution_id)
        .order_by(ReportRow.id.desc())
        .limit(1)
    )
    return row


async def find(session: AsyncSession, report_id: UUID) -> ReportRow | None:
    """The report, with its content."""
    return await session.get(ReportRow, report_id, options=[undefer(ReportRow.content)])


async def page(
    session: AsyncSession, user_id: UUID, filters: ReportFilter, window: Window
) -> Page[ReportRow]:
    """The reports of a user, without their contents."""
    condition = and_(ReportRow.user_id == user_id, *matching(ReportRow, asdict(filters)))
    return await newest(session, ReportRow, ReportRow.id, [condition], window)
