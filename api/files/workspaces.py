"""Access to the workspace of an execution: its directory on this host, or its newest snapshot."""

import asyncio
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.files.archives import ArchiveResponse
from api.files.saved import SavedWorkspace, read_saved
from api.files.schemas import FileKind, FileRead
from api.gateway import Gateway
from api.http.files import OpenFileResponse
from domain.errors import (
    FieldProblem,
    FilesElsewhereError,
    InvalidInputError,
    NotFoundError,
    WorkspaceFileMissingError,
    WorkspacePathError,
)
from domain.text import clean
from domain.workspaces.paths import place_below, relative_path
from domain.workspaces.snapshots import directory_name
from persistence.db.paging import COUNTED
from persistence.executions.snapshot import definition_of
from persistence.sessions import sessions, workspaces
from persistence.sessions.timeline import TimelinePage, TimelineRange
from persistence.tables.executions import ExecutionRow
from persistence.tables.workspaces import WorkspaceSnapshotRow
from runtime.host import read_host_id

LARGEST_DIRECTORY = 100_000
"""Maximum number of directory entries to read (chosen: about ten megabytes)."""

TOP = "."


WorkspaceFiles = Path | SavedWorkspace | None
"""A directory on this host, the snapshot of one on another host, or no files yet."""

WorkspacePlace = Path | WorkspaceSnapshotRow | None
"""Where these files are."""


async def open_workspace(gateway: Gateway, place: WorkspacePlace) -> WorkspaceFiles:
    """The files at a place; reads a snapshot from the store, so hold no database connection.

    Raises:
        BlobMissingError: the snapshot is not in the store.
    """
    if isinstance(place, WorkspaceSnapshotRow):
        return await read_saved(gateway.services.blobs, place)
    return place


async def find_workspace(
    session: AsyncSession, gateway: Gateway, row: ExecutionRow
) -> WorkspacePlace:
    """The workspace directory of an execution, or None if it has no files yet.

    If it is on another host, its newest snapshot.

    Raises:
        FilesElsewhereError: the files are on another host without a snapshot, or in a directory
            of the host.
    """
    directory = (await definition_of(session, row)).get("working_directory_path")
    if directory is not None:
        raise FilesElsewhereError(
            f"This execution uses the host directory {directory}; read the files there."
        )
    conversation = row.session_id and await sessions.find(session, row.session_id)
    if not conversation or conversation.workspace_host_id is None:
        return None
    home = gateway.settings.home
    if conversation.workspace_host_id != read_host_id(home):
        saved = await workspaces.find_current(session, conversation.id)
        if saved is None and conversation.workspace_bytes > 0:
            raise FilesElsewhereError(
                "The workspace of this execution is on another machine and was not saved yet."
            )
        return saved
    root = home / "workspaces" / directory_name(conversation.id, conversation.workspace_epoch)
    return root if root.is_dir() else None


async def list_directory(
    files: WorkspaceFiles, path: str, span: TimelineRange
) -> TimelinePage[Any]:
    """A page of directory entries, sorted by name; raises the errors of `read_directory`."""
    if isinstance(files, SavedWorkspace):
        return await asyncio.to_thread(files.read_directory, path, span)
    return await asyncio.to_thread(read_directory, files, path, span)


async def send_file(files: WorkspaceFiles, path: str) -> Response:
    """The content of a file, or the requested ranges of it; raises the errors of `open_file`."""
    if isinstance(files, SavedWorkspace):
        return files.file_response(path)
    return OpenFileResponse(await asyncio.to_thread(open_file, files, path), path)


async def send_archive(files: WorkspaceFiles, path: str, name: str) -> Response:
    """A directory as `tar.gz`; raises the errors of `open_file`."""
    if isinstance(files, SavedWorkspace):
        return files.archive_response(path, name)
    return ArchiveResponse(await asyncio.to_thread(open_directory, files, path), name)


def read_directory(root: Path | None, path: str, span: TimelineRange) -> TimelinePage[Any]:
    """A page of directory entries, sorted by name. Blocking.

    Raises:
        NotFoundError: the directory does not exist.
        InvalidInputError: the path is not a directory or leads out.
    """
    start = (span.after or 0) + span.offset
    with _open_listed(root, path) as (directory, base):
        if directory is None:
            return TimelinePage([], 0, is_capped=False, next_after=None)
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in islice(entries, LARGEST_DIRECTORY))
        shown = names[start : start + span.limit]
        rows = [file for name in shown if (file := _describe_entry(directory, name, base))]
    end = start + span.limit
    total = min(len(names), COUNTED)
    return TimelinePage(rows, total, len(names) > COUNTED, end if end < len(names) else None)


def open_file(root: Path | None, path: str) -> int:
    """A file descriptor of a regular file. Blocking.

    Raises:
        NotFoundError: the file does not exist.
        InvalidInputError: the path is not a file or leads out.
    """
    with _translate_errors(), place_below(_require_root(root, path), path) as place:
        return place.open_file()


def open_directory(root: Path | None, path: str) -> int:
    """A file descriptor of a directory. Blocking; raises the same errors as `open_file`."""
    with _translate_errors(), place_below(_require_root(root, path), path) as place:
        return place.open_directory()


@contextmanager
def _open_listed(root: Path | None, path: str) -> Iterator[tuple[int | None, str]]:
    """An open directory and the prefix of its paths. Without a workspace, the root is empty.

    Resolves paths in the same way as the tools.
    """
    if root is None and relative_path(path) == TOP:
        yield None, ""
        return
    directory = open_directory(root, path)
    try:
        relative = relative_path(path)
        yield directory, "" if relative in (None, TOP) else f"{relative}/"
    finally:
        os.close(directory)


def _require_root(root: Path | None, path: str) -> Path:
    if root is not None:
        return root
    if relative_path(path) is None:
        raise InvalidInputError(
            f"{path!r} is not a valid path in the workspace.",
            [_problem("Use the path of a file in this directory.")],
        )
    raise NotFoundError(f"{path} does not exist in the workspace.")


def _describe_entry(directory: int, name: str, base: str) -> FileRead | None:
    """The entry for a name, or None if it was deleted."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = next((kind for is_kind, kind in _KINDS if is_kind(status.st_mode)), "other")
    return FileRead(
        path=clean(f"{base}{name}"),
        type=kind,
        size_bytes=status.st_size if kind == "file" else None,
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )


_KINDS: Sequence[tuple[Callable[[int], bool], FileKind]] = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "link"),
)


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Convert path errors to request errors."""
    try:
        yield
    except WorkspaceFileMissingError as error:
        raise NotFoundError(error.detail) from error
    except WorkspacePathError as error:
        raise InvalidInputError(error.detail, [_problem(error.detail)]) from error


def _problem(msg: str) -> FieldProblem:
    return FieldProblem(("query", "path"), msg)
