"""Sending stored bytes."""

from urllib.parse import quote

from fastapi.responses import FileResponse

from domain.errors import NotFoundError
from persistence.blobs import BlobStore
from persistence.tables.artifacts import ArtifactRow

_HEADERS = {
    # What tools wrote is nobody's page: never shown in place, never run with our origin.
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, max-age=31536000, immutable",
}


def file_response(store: BlobStore, row: ArtifactRow) -> FileResponse:
    """The file's bytes, whole or the ranges asked for.

    Raises:
        NotFoundError: its bytes are not in this gateway's store.
    """
    path = store.path(row.sha256)
    if not path.is_file():
        raise NotFoundError("The bytes of this artifact are not in this gateway's store.")
    disposition = f"attachment; filename*=UTF-8''{quote(row.name.rpartition('/')[2], safe='')}"
    headers = {**_HEADERS, "ETag": f'"{row.sha256}"', "Content-Disposition": disposition}
    return FileResponse(path, media_type=_media_type(row), headers=headers)


def _media_type(row: ArtifactRow) -> str:
    """What the tool said, where it can stand in a header."""
    given = row.media_type
    return given if given.isascii() and given.isprintable() else "application/octet-stream"
