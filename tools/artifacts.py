"""Artifacts for the model: saves a file of a workspace, and reads the text of a stored file."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from domain.errors import ToolInputError
from domain.files.artifacts import ArtifactPart
from domain.files.media_types import HEAD_BYTES, find_media_type
from domain.tools.calls import SavedFile, ToolInvocation, ToolOutcome
from tools.limits import MIB, ToolLimits
from tools.output import printable
from tools.paths import Workspace, place_of


class ArtifactStore(Protocol):
    """The artifacts that executions may read."""

    async def read(self, call: ToolInvocation, offset: int, most_bytes: int) -> ArtifactPart:
        """Return a part of the artifact that the call names.

        Raises:
            ToolInputError: the execution has no such artifact, or it has fewer bytes.
        """
        ...


async def read_artifact(
    store: ArtifactStore, call: ToolInvocation, limits: ToolLimits
) -> ToolOutcome:
    """Return the text of an artifact, or a part of it.

    Raises:
        ToolInputError: it can't be read, with the reason.
    """
    part = await store.read(call, call.input.get("offset", 0), limits.preview_bytes)
    about = f"{part.name} ({part.media_type}, {part.size_bytes:,} bytes)"
    if part.text is None:
        raise ToolInputError(f"{about} is not text, so only people can open it.")
    text = f"{about}\n\n{part.text or '(no text here)'}"
    if part.offset or part.end < part.size_bytes:
        more = f" Continue with offset {part.end}." if part.end < part.size_bytes else ""
        text += f"\n\n(… Bytes {part.offset:,} to {part.end:,} of {part.size_bytes:,}.{more} …)"
    return ToolOutcome(text)


def save_artifact(
    workspace: Workspace, tool_input: Mapping[str, Any], limits: ToolLimits
) -> SavedFile:
    """Make a private copy of a file; the caller owns the copy. Blocking."""
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
