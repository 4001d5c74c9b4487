"""Responses with the content of artifacts and workspace files."""

import mimetypes
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from api.http.errors import MalformedRequestError
from api.http.problems import problem
from domain.errors import BlobMissingError
from domain.files.media_types import BYTES
from persistence.tables.sessions import ArtifactRow
from services.blobs import Blobs

_HARMLESS = {
    # Never display files of tools as pages, and never run their scripts with our origin.
    "Content-Security-Policy": "sandbox; default-src 'none'",
}
_HEADERS = {**_HARMLESS, "Cache-Control": "private, max-age=31536000, immutable"}


_REFUSED_RANGES = {
    400: (
        MalformedRequestError.code,
        "The Range header is malformed; use the format `bytes=0-99`.",
    ),
    416: (
        "range_not_satisfiable",
        "The range is outside the file; Content-Range contains the file size.",
    ),
}


class FileInParts(FileResponse):
    """A file, or the requested ranges of it. An invalid range returns a problem document."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Send the media type unchanged: the file can be a text that is not UTF-8."""
        super().init_headers({**(headers or {}), "Content-Type": self.media_type or BYTES})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        refused: Message | None = None

        async def send_problem(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in _REFUSED_RANGES:
                refused = message
            elif refused is None:
                await send(message)
            else:
                await _problem_of(scope, refused)(scope, receive, send)

        await super().__call__(scope, receive, send_problem)


def _problem_of(scope: Scope, refused: Message) -> Response:
    code, detail = _REFUSED_RANGES[refused["status"]]
    length = dict(refused["headers"]).get(b"content-range")
    headers = {"Content-Range": length.decode()} if length else None
    return problem(scope, refused["status"], code, detail, headers=headers)


ReadFrom = Callable[[int], AsyncGenerator[bytes]]
"""Reads a file from a position to its end."""


class _BlobReader:
    """A stored file with a position, as `FileResponse` reads it."""

    def __init__(self, read_from: ReadFrom) -> None:
        self._read_from = read_from
        self._position = 0
        self._chunks: AsyncGenerator[bytes] | None = None
        self._rest = b""

    async def seek(self, position: int) -> None:
        await self.aclose()
        self._position = position

    async def read(self, size: int) -> bytes:
        """As many bytes, or fewer at the end of the file."""
        if self._chunks is None:
            self._chunks = self._read_from(self._position)
        while len(self._rest) < size and (chunk := await anext(self._chunks, b"")):
            self._rest += chunk
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    async def aclose(self) -> None:
        if self._chunks is not None:
            await self._chunks.aclose()
        self._chunks, self._rest = None, b""


class BlobResponse(FileInParts):
    """A stored file, or the requested ranges of it."""

    def __init__(
        self,
        name: str,
        read_from: ReadFrom,
        *,
        size_bytes: int,
        written_at: float,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        """`read_from` reads the stored bytes; `written_at` is in seconds since 1970."""
        self._reader = _BlobReader(read_from)
        status = (stat.S_IFREG, 0, 0, 1, 0, 0, size_bytes, 0, written_at, written_at)
        super().__init__(
            name,
            media_type=media_type,
            headers={**headers, **download_headers(name)},
            stat_result=os.stat_result(status),
        )

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        """What Starlette reads the parts from."""
        try:
            yield self._reader
        finally:
            await self._reader.aclose()


def content_tag(row: ArtifactRow) -> str:
    """The ETag of the content of an artifact."""
    return f'"{row.sha256}"'


async def file_response(blobs: Blobs, row: ArtifactRow) -> BlobResponse:
    """The content of an artifact, or the requested ranges of it.

    Raises:
        BlobMissingError: the content is not in the store.
    """
    if await blobs.size(row.sha256) != row.size_bytes:
        raise BlobMissingError(row.sha256)
    return BlobResponse(
        row.name,
        partial(blobs.read, row.sha256),
        size_bytes=row.size_bytes,
        written_at=row.created_at.timestamp(),
        media_type=_media_type(row),
        headers={**_HEADERS, "ETag": content_tag(row)},
    )


def saved_file_response(
    name: str, read_from: ReadFrom, *, size_bytes: int, written_at: float
) -> BlobResponse:
    """A file of a workspace, from the store."""
    return BlobResponse(
        name,
        read_from,
        size_bytes=size_bytes,
        written_at=written_at,
        media_type=mimetypes.guess_type(name)[0] or BYTES,
        headers={"Cache-Control": "private, no-cache"},
    )


def download_headers(path: str) -> dict[str, str]:
    """Headers of a download; the last part of `path` is the file name."""
    name = quote(path.rpartition("/")[2], safe="", errors="replace")
    return {**_HARMLESS, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}


class OpenFileResponse(FileInParts):
    """The content of an open file, up to its length when it was opened; closes the file.

    Data that is appended while the file is sent is not included.
    """

    def __init__(self, file: int, path: str) -> None:
        """Takes ownership of the file descriptor; `path` is the name for the client."""
        self._file = file
        headers = {**download_headers(path), "Cache-Control": "private, no-cache"}
        kind = mimetypes.guess_type(path)[0] or BYTES
        # Refers to the open file, even if another file has its name now.
        opened = f"/dev/fd/{file}"
        super().__init__(opened, headers=headers, media_type=kind, stat_result=os.fstat(file))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, but not more bytes than `Content-Length`."""
        left: int | None = None

        async def send_bounded(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                left = int(dict(message["headers"])[b"content-length"])
                await send(message)
            elif left is not None:
                body = message["body"][:left]
                left -= len(body)
                is_last = left == 0 or not message["more_body"]
                left = None if is_last else left
                await send({**message, "body": body, "more_body": not is_last})

        try:
            await super().__call__(scope, receive, send_bounded)
        finally:
            os.close(self._file)


def _media_type(row: ArtifactRow) -> str:
    """The media type of the artifact, if it is valid in a header."""
    given = row.media_type
    return given if given.isascii() and given.isprintable() else BYTES
