"""Files an execution kept."""

from datetime import datetime
from uuid import UUID

from api.schemas.values import Read


class ArtifactRead(Read):
    """One kept file; its bytes are at `_links.content`."""

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
