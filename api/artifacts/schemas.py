"""Artifacts as clients read them."""

from datetime import datetime
from uuid import UUID

from api.http.schemas import Read


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
