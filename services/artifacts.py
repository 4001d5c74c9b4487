"""Artifacts: files that clients store, for an execution or on their own."""

import base64
import binascii
import mimetypes
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.blobs import registry
from persistence.sessions import artifacts
from persistence.tables.sessions import ArtifactRow
from services.caller import Caller, missing
from services.executions.access import may_read, own_execution, require_active
from services.field_types import Body
from services.unit_of_work import UnitOfWork

MediaType = Annotated[str, Field(max_length=200, pattern=r"^[!-~]+/[!-~][ -~]*$")]


class ArtifactCreate(Body):
    """A file to store, for an execution of yours that has not ended or on its own.

    Its bytes are either `content`, which is text, or `content_base64`. Without `media_type` the
    type is guessed from the name.
    """

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]
    content: str | None = None
    content_base64: str | None = None
    media_type: MediaType | None = None
    execution_id: UUID | None = None

    @model_validator(mode="after")
    def _has_bytes(self) -> Self:
        if (self.content is None) == (self.content_base64 is None):
            raise ValueError("Send either content or content_base64.")
        try:
            base64.b64decode(self.content_base64 or "", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("content_base64 is not valid base64 (RFC 4648, section 4).") from None
        return self

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        if self.content is not None:
            return self.content.encode()
        return base64.b64decode(self.content_base64 or "")


async def find_artifact(session: AsyncSession, caller: Caller, artifact_id: UUID) -> ArtifactRow:
    """Return an artifact of the caller, or of another execution that the caller may read."""
    row = await artifacts.find(session, artifact_id)
    if row is None:
        raise missing("artifact", artifact_id)
    if row.execution_id is None:
        return caller.own(row, "artifact", artifact_id)
    if not await may_read(session, caller, row.user_id, row.execution_id):
        raise caller.not_owned("artifact", artifact_id)
    return row


async def create_artifact(work: UnitOfWork, body: ArtifactCreate) -> ArtifactRow:
    """Store a file, for an execution of the caller that has not ended or on its own.

    Raises:
        ExecutionTerminalError: it has ended; its files do not change any more.
        QuotaExceededError: the owner stores too much.
        FilesElsewhereError: this process cannot write to the store of artifacts.
    """
    owner_id = work.caller.user_id
    if body.execution_id is not None:
        execution = await own_execution(work.session, work.caller, body.execution_id, lock=True)
        require_active(execution)
        owner_id = execution.user_id
    await work.services.storage.check(work.session, owner_id, adding=len(body.data))
    stored = await work.services.blobs.add(body.data)
    row = ArtifactRow(
        user_id=owner_id,
        execution_id=body.execution_id,
        kind="artifact",
        name=body.name,
        media_type=body.media_type or _guess_media_type(body),
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
    )
    await registry.hold(work.session, [row.sha256])
    await artifacts.create(work.session, row)
    after = {"size_bytes": row.size_bytes, "sha256": row.sha256}
    entity = ("artifact", row.id)
    await work.record_audit("artifact.create", entity, after=after, owner_id=owner_id)
    return row


def _guess_media_type(body: ArtifactCreate) -> str:
    if media_type := mimetypes.guess_type(body.name)[0]:
        return media_type
    return "application/octet-stream" if body.content is None else "text/plain; charset=utf-8"
