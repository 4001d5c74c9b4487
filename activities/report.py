"""`report`: write the report of an execution just before its end."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from reports.compose import compose_json
from services import reports


async def store_report(session: AsyncSession, execution_id: UUID) -> None:
    """Store the report, if the task wants one; a retry has no effect (`services.reports`)."""
    await reports.store_report(session, execution_id, compose_json)
