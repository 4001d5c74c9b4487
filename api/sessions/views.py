"""Sessions, from rows to what clients read."""

from api import links
from api.http.rendering import from_row
from api.http.request_context import Call
from api.sessions.schemas import SessionRead
from persistence.tables.sessions import SessionRow


def render_session(_: Call, row: SessionRow) -> SessionRead:
    """Return a session as clients read it."""
    return from_row(SessionRead, row, links=links.session(row.id))
