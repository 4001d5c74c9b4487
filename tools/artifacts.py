"""Saves a file of a workspace as an artifact. Blocking: call it in a thread."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from domain.errors import ToolInputError
from domain.media_types import HEAD_BYTES, find_media_type
from domain.tool_calls import SavedFile
from tools.limits import MIB, ToolLimits
from tools.output import printable
from tools.paths import Workspace, place_of


def save_artifact(
    workspace: Workspace, tool_input: Mapping[str, Any], limits: ToolLimits
) -> SavedFile:
    """Make a private copy of a file; the caller owns the copy."""
    with place_of(workspace, tool_input["path"]) as place:
        source = place.open_file(limits.artifact_bytes)
        _require_user_room(workspace, source)
        name = printable(tool_input.get("name", place.name).rpartition("/")[2]) or place.name
        copy = workspace.private / f"artifact-{os.urandom(8).hex()}"
        try:
            size, digest = _copy(source, copy, limits.artifact_bytes)
        except (OSError, ToolInputError):
            copy.unlink(missing_ok=True)
            raise
    with copy.open("rb") as saved:
        media_type = find_media_type(name, saved.read(HEAD_BYTES))
    return SavedFile(name, media_type, copy, size, digest)


def _require_user_room(workspace: Workspace, source: int) -> None:
    size = os.fstat(source).st_size
    if workspace.user_room is not None and size > workspace.user_room:
        os.close(source)
        raise ToolInputError(
            f"The file has {size:,} bytes, and the user may store {max(workspace.user_room, 0):,} "
            "more. Delete sessions that are no longer needed, or save a smaller file."
        )


def _copy(source: int, copy: Path, largest: int) -> tuple[int, str]:
    """Copy an open file and close it; returns its size and sha256."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(source, "rb") as original, os.fdopen(_create(copy), "wb") as target:
        for chunk in _chunks(original):
            size += len(chunk)
            # The file may grow during the copy.
            if size > largest:
                raise ToolInputError(f"The file has more than {largest:,} bytes.")
            digest.update(chunk)
            target.write(chunk)
    return size, digest.hexdigest()


def _create(copy: Path) -> int:
    return os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(MIB):
        yield chunk
