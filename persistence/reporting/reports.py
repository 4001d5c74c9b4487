"""Stored reports, as they are read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from domain.ids import first_id_at
from persistence.db.paging import Page, Window, newest
from persistence.tables.reports import ReportRow


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """What a list of reports is narrowed by; `created_from` is in the span, `created_to` not."""

    task_id: UUID | None = None
    execution_id: UUID | None = None
    format: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


async def of_execution(session: AsyncSession, execution_id: UUID) -> ReportRow | None:
    """The execution's newest report, with its content."""
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
    session: AsyncSession, user_id: UUID, narrowed: ReportFilter, window: Window
) -> Page[ReportRow]:
    """The user's reports, without their contents."""
    condition = and_(ReportRow.user_id == user_id, *_conditions(narrowed))
    return await newest(session, ReportRow, ReportRow.id, [condition], window)


def _conditions(narrowed: ReportFilter) -> list[ColumnElement[bool]]:
    columns = {
        ReportRow.task_id: narrowed.task_id,
        ReportRow.execution_id: narrowed.execution_id,
        ReportRow.format: narrowed.format,
    }
    conditions: list[ColumnElement[bool]] = [
        column == value for column, value in columns.items() if value is not None
    ]
    if narrowed.created_from is not None:
        conditions.append(ReportRow.id >= first_id_at(narrowed.created_from))
    if narrowed.created_to is not None:
        conditions.append(ReportRow.id < first_id_at(narrowed.created_to))
    return conditions
