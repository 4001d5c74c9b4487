"""Sessions of clients that connect with a handshake, in the revisions before 2026-07-28.

The session id contains what the client declared in its handshake, so the server keeps no state and
any gateway answers any request of a session. It contains no secret, and credentials are checked for
each request.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from mcp.server.connection import Connection
from mcp.types.version import LATEST_HANDSHAKE_VERSION
from starlette.requests import Request

SESSION_HEADER = "mcp-session-id"

LONGEST_ID = 8_192
"""Characters. Web servers accept a header of this size; a larger handshake gets no session."""


def make_session_id(params: Mapping[str, Any] | None) -> str | None:
    """The session id for a handshake with these parameters; None if they are too large."""
    given = params or {}
    content = {
        "capabilities": given.get("capabilities"),
        "client": given.get("clientInfo"),
        "id": secrets.token_urlsafe(16),
    }
    encoded = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode("ascii"))
    session_id = encoded.rstrip(b"=").decode("ascii")
    return session_id if len(session_id) <= LONGEST_ID else None


def open_connection(request: Request, version: str | None) -> Connection:
    """The connection of a request: what its session id contains."""
    session_id = request.headers.get(SESSION_HEADER)
    content = _read(session_id) if session_id else {}
    connection = Connection.from_envelope(
        version or LATEST_HANDSHAKE_VERSION, content.get("client"), content.get("capabilities")
    )
    connection.session_id = session_id
    return connection


def _read(session_id: str) -> Mapping[str, Any]:
    """The content of a session id; empty if another server made it."""
    try:
        padded = session_id.encode("ascii") + b"=" * (-len(session_id) % 4)
        content = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
