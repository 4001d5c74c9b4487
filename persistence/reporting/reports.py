"""Read stored reports."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from domain.ids import first_id_at
from persistence.db.paging import Page, Window, matching, newest
from persistence.tables.sessions import ReportRow


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Conditions for a list of reports; `created_from` is inclusive, `created_to` exclusive."""

    task_id: UUID | None = None
    execution_id: UUID | None = None
    format: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


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
    condition = and_(ReportRow.user_id == user_id, *_conditions(filters))
    return await newest(session, ReportRow, ReportRow.id, [condition], window)


def _conditions(filters: ReportFilter) -> list[ColumnElement[bool]]:
    columns = ("task_id", "execution_id", "format")
    conditions = matching(ReportRow, {name: getattr(filters, name) for name in columns})
    if filters.created_from is not None:
        conditions.append(ReportRow.id >= first_id_at(filters.created_from))
    if filters.created_to is not None:
        conditions.append(ReportRow.id < first_id_at(filters.created_to))
    return conditions
