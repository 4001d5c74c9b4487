"""The authenticated user of a request."""

import math
import time
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated user of a request."""

    user_id: UUID
    subject: str
    is_admin: bool
    trigger_type: str = "manual"
    """The trigger type of executions that these credentials start."""
    expires_at: float | None = None
    """When the credentials expire."""
    api_key_id: UUID | None = None
    """The id of the API key, if the credentials are one."""
    scopes: frozenset[str] = frozenset()
    """What the credentials allow beyond the user's rights (`domain.scopes`)."""
    groups: frozenset[str] = frozenset()
    """The names of the user's groups."""
    is_hook: bool = False
    """A hook acts on behalf of the user; the audit log names no actor."""

    @property
    def seconds_left(self) -> float:
        """Seconds until the credentials expire."""
        return math.inf if self.expires_at is None else self.expires_at - time.time()
