"""Artifacts and checks of the store as clients read them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from api.http.schemas import Read, from_row, view_of
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
