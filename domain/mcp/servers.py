"""An MCP server as a worker reaches it: with its secrets, in memory only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from domain.mcp.auth import ClientCredentials, OpenSecret


@dataclass(frozen=True, slots=True)
class ResolvedServer:
    """A server with a `url`, or a program. `server_id` is that of a registered one."""

    key: str
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: str | None = None
    args: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    server_id: UUID | None = None
    is_trusted: bool = False
    credentials: ClientCredentials | None = None
    secret_version: str | None = None
    """When the secret of the credentials was changed."""
    open_secret: OpenSecret | None = field(default=None, repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """The hash of everything that a connection depends on, including the values of secrets."""
        parts: list[Any] = [self.url, sorted(self.headers.items())]
        if self.credentials is not None:
            parts += [asdict(self.credentials), self.secret_version]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
