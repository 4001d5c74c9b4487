"""Artifacts as clients read them."""

from datetime import datetime
from uuid import UUID

from services.field_types import Read


class ArtifactRead(Read):
    """A stored file; its bytes are at `_links.content`."""

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
