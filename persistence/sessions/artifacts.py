"""Artifacts. Their bytes are in the content-addressed store."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.events import artifact_saved
from persistence.db.paging import Page, Window, newest
from persistence.executions import events
from persistence.tables.sessions import ArtifactRow


async def find(session: AsyncSession, artifact_id: UUID) -> ArtifactRow | None:
    """The file's metadata."""
    return await session.get(ArtifactRow, artifact_id)


async def create(session: AsyncSession, row: ArtifactRow) -> None:
    """Store a file that a client sent, with an event of its execution."""
    session.add(row)
    await session.flush()
    if row.execution_id is not None:
        saved = artifact_saved(row.id, row.name, row.size_bytes)
        await events.append(session, row.execution_id, saved)


async def page(session: AsyncSession, execution_id: UUID, window: Window) -> Page[ArtifactRow]:
    """The files that an execution saved."""
    condition = ArtifactRow.execution_id == execution_id
    return await newest(session, ArtifactRow, ArtifactRow.id, [condition], window)
