"""Finds and deletes artifacts that are older than their task keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db import sql
from persistence.ledger.audit import INSERT_BY_ACTOR, Actor
from persistence.tables.sessions import ArtifactRow

_SQL = sql.load("sessions/artifact_retention.sql", insert_by_actor=INSERT_BY_ACTOR)


@dataclass(frozen=True, slots=True)
class ExaminedArtifacts:
    """A range of the artifacts; `after` is the last one, None at the end."""

    expired: Sequence[UUID]
    after: UUID | None


async def examine(session: AsyncSession, after: UUID, *, limit: int) -> ExaminedArtifacts:
    """Find the expired ones among the next artifacts; `after` is the last one before them."""
    rows = (await session.execute(_SQL["examine"], {"after": after, "limit": limit})).all()
    expired = [row.id for row in rows if row.is_expired]
    return ExaminedArtifacts(expired, rows[-1].id if len(rows) == limit else None)


async def list_older(
    session: AsyncSession, task_id: UUID, user_id: UUID, *, seconds: float, limit: int
) -> Sequence[ArtifactRow]:
    """Artifacts of the task's executions that ended so long ago, the oldest executions first."""
    parameters = {"task_id": task_id, "user_id": user_id, "seconds": seconds, "limit": limit}
    ids = (await session.scalars(_SQL["list_older"], parameters)).all()
    rows = await session.scalars(select(ArtifactRow).where(ArtifactRow.id.in_(ids)))
    return sorted(rows, key=lambda row: ids.index(row.id))


async def delete(session: AsyncSession, ids: Sequence[UUID], *, by: Actor) -> Mapping[UUID, int]:
    """Delete artifacts of executions; returns how many of each user. Others may share bytes."""
    if not ids:
        return {}
    found = await session.execute(_SQL["delete"], {**by.parameters(), "ids": list(ids)})
    return {row.user_id: row.number for row in found}
