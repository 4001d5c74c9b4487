"""Artifacts, from rows to what clients read."""

from api import links
from api.artifacts.schemas import ArtifactRead
from api.http.rendering import from_row
from api.http.request_context import Call
from persistence.tables.artifacts import ArtifactRow


def render_artifact(_: Call, row: ArtifactRow) -> ArtifactRead:
    """Return the metadata of a stored file."""
    return from_row(ArtifactRead, row, links=links.artifact(row.id, row.execution_id))
