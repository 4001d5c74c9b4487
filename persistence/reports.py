"""Stored reports, as they are read."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.tables.reports import ReportRow


async def of_execution(session: AsyncSession, execution_id: UUID) -> ReportRow | None:
    """The execution's newest report."""
    row: ReportRow | None = await session.scalar(
        select(ReportRow)
        .where(ReportRow.execution_id == execution_id)
        .order_by(ReportRow.id.desc())
        .limit(1)
    )
    return row
