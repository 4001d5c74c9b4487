"""Artifacts. Their bytes are in the content-addressed store."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.events import artifact_saved
from persistence.db import sql
from persistence.db.paging import Page, Window, newest
from persistence.executions import events
from persistence.tables.sessions import ArtifactRow

_SQL = sql.load("sessions/artifacts.sql")

TOOL_OUTPUT = "tool_output"
"""The kind of a long output of a tool."""


async def find(session: AsyncSession, artifact_id: UUID) -> ArtifactRow | None:
    """The file's metadata."""
    return await session.get(ArtifactRow, artifact_id)


async def find_related(
    session: AsyncSession, artifact_id: UUID, execution_id: UUID
) -> ArtifactRow | None:
    """An artifact of an execution, of another one of its tree or session, or of its fork source.

    None if no such execution has it.
    """
    ids = {"artifact_id": artifact_id, "execution_id": execution_id}
    if not await session.scalar(_SQL["is_related"], ids):
        return None
    return await find(session, artifact_id)


async def create(session: AsyncSession, row: ArtifactRow, *, with_event: bool = True) -> None:
    """Store a file that a client sent, with an event of its execution unless that has ended."""
    session.add(row)
    await session.flush()
    if row.execution_id is not None and with_event:
        saved = artifact_saved(row.id, row.name, row.size_bytes)
        await events.append(session, row.execution_id, saved)


async def find_equal(session: AsyncSession, row: ArtifactRow) -> ArtifactRow | None:
    """A file of the same execution with the kind, the name and the content of this new one."""
    same = [ArtifactRow.execution_id == row.execution_id, ArtifactRow.sha256 == row.sha256]
    same += [ArtifactRow.kind == row.kind, ArtifactRow.name == row.name]
    return await session.scalar(select(ArtifactRow).where(*same).limit(1))


async def page(session: AsyncSession, execution_id: UUID, window: Window) -> Page[ArtifactRow]:
    """The files that an execution saved."""
    condition = ArtifactRow.execution_id == execution_id
    return await newest(session, ArtifactRow, ArtifactRow.id, [condition], window)


async def delete_all(session: AsyncSession, execution_id: UUID) -> int:
    """Delete the artifacts of an execution; returns how many. Others may share their bytes."""
    deleted = await session.execute(
        delete(ArtifactRow)
        .where(ArtifactRow.execution_id == execution_id)
        .returning(ArtifactRow.id)
    )
    return len(deleted.all())


async def list_newest(
    session: AsyncSession, execution_ids: Sequence[UUID], *, limit: int
) -> Sequence[ArtifactRow]:
    """The files that these executions saved, without long outputs of tools, newest first."""
    rows = await session.scalars(
        select(ArtifactRow)
        .where(ArtifactRow.execution_id.in_(execution_ids), ArtifactRow.kind != TOOL_OUTPUT)
        .order_by(ArtifactRow.id.desc())
        .limit(limit)
    )
    return rows.all()
