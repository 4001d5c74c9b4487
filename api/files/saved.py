"""The files of a workspace on another host, as its newest snapshot has them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Response
from starlette.responses import StreamingResponse

from api.files.archives import end_of_tar, list_left_out, make_gzip, padding, saved_header
from api.files.schemas import FileKind, FileRead
from api.http.files import download_headers, saved_file_response
from domain.errors import FieldProblem, InvalidInputError, NotFoundError
from domain.files.blobs import CHUNK_BYTES
from domain.text import clean
from domain.workspaces.paths import relative_path, split_path
from domain.workspaces.snapshots import SavedEntry, WorkspaceIndex
from persistence.db.paging import COUNTED
from persistence.sessions.timeline import TimelinePage, TimelineRange
from persistence.tables.workspaces import WorkspaceSnapshotRow
from services.blobs import Blobs

_MAX_LINKS = 40
"""Links in one path, as on a host."""

_ROOT = SavedEntry("d", 0o700)
_KINDS: Mapping[str, FileKind] = {"f": "file", "d": "directory", "l": "link"}


@dataclass(frozen=True, slots=True)
class SavedWorkspace:
    """A snapshot. Snapshots contain no times of directories and links: they have its own time."""

    blobs: Blobs
    index: WorkspaceIndex
    saved_at: datetime

    # --- paths --------------------------------------------------------------------------------

    def find(self, path: str) -> tuple[str, SavedEntry]:
        """Resolve a path with its links as on a host; returns the final path and its entry.

        Raises:
            NotFoundError: it does not exist.
            InvalidInputError: it leads out of the workspace.
        """
        relative = relative_path(path)
        if relative is None:
            raise _invalid(f"{path!r} is not a path in the workspace.")
        left, found, links = deque(split_path(relative)), list[str](), 0
        while left:
            name = left.popleft()
            if name == "..":
                if not found:
                    raise _invalid(f"{path} is a symbolic link out of the workspace.")
                found.pop()
                continue
            entry = self.index.entries.get("/".join([*found, name]))
            if entry is None:
                raise NotFoundError(f"There is no {path} in the workspace.")
            if entry.kind != "l":
                found.append(name)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise _invalid(f"{path} contains too many symbolic links.")
            below = entry.target
            if below.startswith("/"):
                inside = relative_path(below)
                if inside is None:
                    raise _invalid(f"{path} is a symbolic link out of the workspace.")
                below, found = inside, []
            left.extendleft(reversed(split_path(below)))
        resolved = "/".join(found)
        return resolved, self.index.entries[resolved] if resolved else _ROOT

    def _directory(self, path: str) -> str:
        resolved, entry = self.find(path)
        if entry.kind != "d":
            raise _invalid(f"A part of {path} is not a directory.")
        return resolved

    # --- responses ----------------------------------------------------------------------------

    def read_directory(self, path: str, span: TimelineRange) -> TimelinePage[Any]:
        """A page of directory entries, sorted by name."""
        base = self._directory(path)
        start = (span.after or 0) + span.offset
        end = start + span.limit
        prefix = f"{base}/" if base else ""
        names = sorted(
            name
            for entry in self.index.entries
            if entry.startswith(prefix) and "/" not in (name := entry[len(prefix) :])
        )
        shown = "" if (asked := relative_path(path)) in (None, ".") else f"{asked}/"
        rows = [
            self._describe(f"{shown}{name}", self.index.entries[f"{prefix}{name}"])
            for name in names[start:end]
        ]
        is_capped = len(names) > COUNTED
        next_after = end if end < len(names) else None
        return TimelinePage(rows, min(len(names), COUNTED), is_capped, next_after)

    def _describe(self, path: str, entry: SavedEntry) -> FileRead:
        is_file = entry.kind == "f"
        written = datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)
        return FileRead(
            path=clean(path),
            type=_KINDS[entry.kind],
            size_bytes=entry.size if is_file else None,
            modified_at=written if is_file else self.saved_at,
        )

    def file_response(self, path: str) -> Response:
        """The content of a file, or the requested ranges of it."""
        resolved, entry = self.find(path)
        if entry.kind != "f":
            raise _invalid(f"{path} is not a regular file.")
        return saved_file_response(
            resolved,
            lambda start: self._read(entry, start),
            size_bytes=entry.size,
            written_at=entry.mtime_ns / 1e9,
        )

    async def _read(self, entry: SavedEntry, start: int) -> AsyncGenerator[bytes]:
        """The bytes of a file from `start`; holes are zeros."""
        ranges = ((0, entry.size),) if entry.ranges is None else entry.ranges
        offset, at = entry.offset, 0
        for begin, end in (*ranges, (entry.size, entry.size)):
            for zeros in _zeros(max(at, start), begin):
                yield zeros
            if end > max(begin, start):
                first = max(begin, start)
                stored = offset + first - begin
                async for chunk in self.blobs.read(entry.blob, stored, offset + end - begin):
                    yield chunk
            offset, at = offset + end - begin, end

    def archive_response(self, path: str, name: str) -> Response:
        """A directory as `tar.gz`."""
        prefix = f"{base}/" if (base := self._directory(path)) else ""
        return StreamingResponse(
            self._archive(prefix), media_type="application/gzip", headers=download_headers(name)
        )

    async def _archive(self, prefix: str) -> AsyncGenerator[bytes]:
        press = make_gzip()
        async for part in self._tar(prefix):
            if pressed := await asyncio.to_thread(press.compress, part):
                yield pressed
        yield press.flush()

    async def _tar(self, prefix: str) -> AsyncGenerator[bytes]:
        left_out = [
            path.removeprefix(prefix) for path in self.index.left_out if path.startswith(prefix)
        ]
        for path, entry in self.index.entries.items():
            if not path.startswith(prefix):
                continue
            header = saved_header(path[len(prefix) :], entry, self.saved_at.timestamp())
            if header is None:
                left_out.append(path.removeprefix(prefix))
                continue
            yield header
            if entry.kind == "f":
                size = entry.stored_bytes
                if size > 0:
                    end = entry.offset + size
                    async for chunk in self.blobs.read(entry.blob, entry.offset, end):
                        yield chunk
                yield padding(size)
        yield list_left_out(left_out)
        yield end_of_tar()


async def read_saved(blobs: Blobs, row: WorkspaceSnapshotRow) -> SavedWorkspace:
    """Read a snapshot from the store of files, without a database connection.

    Raises:
        BlobMissingError: it is not in the store.
    """
    content = await blobs.read_bytes(row.sha256)
    index = await asyncio.to_thread(WorkspaceIndex.decode, content, row.sha256)
    return SavedWorkspace(blobs, index, row.created_at)


def _zeros(start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, CHUNK_BYTES):
        yield bytes(min(CHUNK_BYTES, end - at))


def _invalid(msg: str) -> InvalidInputError:
    return InvalidInputError(msg, [FieldProblem(("query", "path"), msg)])
