"""Artifacts and checks of the store as clients read them."""

from datetime import datetime
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.request_context import Call
from api.http.responses import answer
from api.http.schemas import Read, from_row, view_of
from services.artifact_retention import PrunedArtifacts
from services.stored_files import Damage, DamagedFile, StoreCheck


class ArtifactRead(Read):
    """A stored file; its bytes are at `_links.content`."""

    paths = {
        "self": "/artifacts/{id}",
        "content": "/artifacts/{id}/content",
        "execution": "/task-executions/{execution_id}",
    }

    id: UUID
    user_id: UUID
    execution_id: UUID | None
    tool_call_id: UUID | None
    kind: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    created_at: datetime


render_artifact = view_of(ArtifactRead)


class PrunedArtifactsRead(BaseModel):
    """The artifacts that are deleted, at most 1,000; `has_more`: a further call may find more."""

    model_config = ConfigDict(frozen=True)

    dry_run: bool
    older_than_seconds: int
    size_bytes: int
    has_more: bool
    items: list[ArtifactRead]


async def respond_pruned(
    call: Call, _: AsyncSession, found: PrunedArtifacts, *, dry_run: bool
) -> Response:
    """Respond with the artifacts that are deleted."""
    shown = PrunedArtifactsRead(
        dry_run=dry_run,
        older_than_seconds=found.older_than_seconds,
        size_bytes=sum(row.size_bytes for row in found.rows),
        has_more=found.has_more,
        items=[render_artifact(call, row) for row in found.rows],
    )
    return answer(shown)


class DamagedFileRead(BaseModel):
    """A stored file that is missing or changed, with the first ones that it affects."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size_bytes: int
    damage: Damage
    artifacts: list[ArtifactRead]
    execution_ids: list[UUID]


class StoreCheckRead(BaseModel):
    """The result of a check: how much was read, and what is damaged."""

    model_config = ConfigDict(frozen=True)

    files: int
    size_bytes: int
    damaged: list[DamagedFileRead]
    next_after: str | None


def render_check(found: StoreCheck) -> StoreCheckRead:
    """A check of the store."""
    return from_row(StoreCheckRead, found, damaged=[_render(damaged) for damaged in found.damaged])


def _render(found: DamagedFile) -> DamagedFileRead:
    return DamagedFileRead(
        sha256=found.blob.sha256,
        size_bytes=found.blob.size_bytes,
        damage=found.damage,
        artifacts=[from_row(ArtifactRead, row) for row in found.artifacts],
        execution_ids=list(found.execution_ids),
    )
