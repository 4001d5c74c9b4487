"""Artifacts: files that clients store, for an execution or on their own."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import (
    ExecutionTerminalError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UploadTooLargeError,
)
from domain.files.artifacts import ArtifactPart, count_partial, decode_part
from domain.files.blobs import StoredBlob, identify
from domain.files.media_types import HEAD_BYTES, find_media_type
from persistence.blobs import registry
from persistence.sessions import artifacts
from persistence.tables.sessions import ArtifactRow
from services.blobs import Blobs
from services.caller import Caller, missing
from services.executions.access import get_own_execution, may_read, require_active
from services.field_types import Body
from services.unit_of_work import Services, UnitOfWork
from services.validation_messages import body_problem

MediaType = Annotated[str, Field(max_length=200, pattern=r"^[!-~]+/[!-~][ -~]*$")]


Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]


class ArtifactCreate(Body):
    """A file to store, for an execution of yours that has not ended or on its own.

    Its bytes are either `content`, which is text, or `content_base64`. The type is
    `media_type`, or that of the name, if the first bytes of the file agree with it.
    """

    name: Name
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


class ArtifactUpload(Body):
    """What a client says about a file whose content is the request body."""

    name: Name = "file"
    media_type: MediaType | None = None
    execution_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A stored upload with its first bytes."""

    stored: StoredBlob
    head: bytes


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


async def read_part(blobs: Blobs, row: ArtifactRow, offset: int, most_bytes: int) -> ArtifactPart:
    """Read the text of an artifact from an offset, or from the next character after it.

    Raises:
        InvalidInputError: the artifact has fewer bytes.
    """
    if offset > row.size_bytes:
        raise InvalidInputError(
            "The arguments are invalid; see errors.",
            [body_problem("offset", f"The file has {row.size_bytes} bytes; use a smaller offset.")],
        )
    content = await blobs.read_bytes(row.sha256, offset, min(offset + most_bytes, row.size_bytes))
    begin = offset + (count_partial(content) if offset else 0)
    text, size = decode_part(content[begin - offset :])
    return ArtifactPart(
        row.name, row.media_type, row.size_bytes, offset=begin, end=begin + size, text=text
    )


async def store_content(services: Services, caller: Caller, body: ArtifactCreate) -> None:
    """Store the bytes of a file before `create_artifact`, whose transaction waits for no disk.

    What `create_artifact` refuses is not stored.

    Raises:
        QuotaExceededError: the owner stores too much.
        BlobStoreUnavailableError: the store of artifacts is full or unavailable.
    """
    data = body.data
    with suppress(NotFoundError, PermissionDeniedError, ExecutionTerminalError):
        async with services.database.reading() as session:
            owner_id = await _find_owner(session, caller, body.execution_id, lock=False)
            await services.storage.check(session, owner_id, adding=len(data))
        await services.blobs.add(data)


async def create_artifact(work: UnitOfWork, body: ArtifactCreate) -> ArtifactRow:
    """Create the artifact of stored bytes, for an execution that has not ended or on its own.

    Raises:
        ExecutionTerminalError: it has ended; its files do not change any more.
    """
    owner_id = await _find_owner(work.session, work.caller, body.execution_id, lock=True)
    stored = identify(data := body.data)
    return await _create(work, owner_id, body, ReceivedFile(stored, data[:HEAD_BYTES]))


async def receive_upload(
    services: Services,
    caller: Caller,
    upload: ArtifactUpload,
    parts: AsyncIterator[bytes],
    *,
    limit_bytes: int,
) -> ReceivedFile:
    """Store the content of an upload as it arrives, for `create_uploaded`.

    Raises:
        ExecutionTerminalError: the execution has ended.
        UploadTooLargeError: the file has more than `limit_bytes`.
        QuotaExceededError: the owner would store too much.
        BlobStoreUnavailableError: the store of artifacts is full or unavailable.
    """
    async with services.database.reading() as session:
        owner_id = await _find_owner(session, caller, upload.execution_id, lock=False)
        await services.storage.check(session, owner_id)
    most = room = await services.storage.room(owner_id)
    if room is not None:  # a repeated file needs none
        refused = services.storage.list_refused(owner_id)
        most = max([room, *(file.size_bytes for file in refused)])
    head = b""
    with services.blobs.incoming() as incoming:
        async for part in parts:
            head = head if len(head) >= HEAD_BYTES else (head + part)[:HEAD_BYTES]
            await incoming.write(part)
            if incoming.size_bytes > limit_bytes:
                raise UploadTooLargeError(
                    f"The file has more than {limit_bytes} bytes; send a smaller one."
                )
            if most is not None and incoming.size_bytes > most:
                await _check_again(services, owner_id, incoming.identify())
                most = room = None
        if room is not None and incoming.size_bytes > room:
            await _check_again(services, owner_id, incoming.identify())
        return ReceivedFile(await incoming.store(), head)


async def _check_again(services: Services, owner_id: UUID, file: StoredBlob) -> None:
    """Check what exceeds the room that there was; other files may be deleted since.

    `create_uploaded` counts the file.
    """
    async with services.database.reading() as session:
        await services.storage.check_file(session, owner_id, file)
    services.storage.forget(owner_id)


async def create_uploaded(
    work: UnitOfWork, upload: ArtifactUpload, received: ReceivedFile
) -> ArtifactRow:
    """Create the artifact of a received file.

    Raises:
        ExecutionTerminalError: the execution has ended; its files do not change any more.
        QuotaExceededError: the owner stores too much.
    """
    owner_id = await _find_owner(work.session, work.caller, upload.execution_id, lock=True)
    await work.services.storage.check_file(work.session, owner_id, received.stored)
    return await _create(work, owner_id, upload, received)


async def _find_owner(
    session: AsyncSession, caller: Caller, execution_id: UUID | None, *, lock: bool
) -> UUID:
    if execution_id is None:
        return caller.user_id
    execution = await get_own_execution(session, caller, execution_id, lock=lock)
    require_active(execution)
    return execution.user_id


async def _create(
    work: UnitOfWork,
    owner_id: UUID,
    described: ArtifactCreate | ArtifactUpload,
    received: ReceivedFile,
) -> ArtifactRow:
    row = ArtifactRow(
        user_id=owner_id,
        execution_id=described.execution_id,
        kind="artifact",
        name=described.name,
        media_type=find_media_type(described.name, received.head, described.media_type),
        size_bytes=received.stored.size_bytes,
        sha256=received.stored.sha256,
    )
    await registry.hold(work.session, [row.sha256])
    await artifacts.create(work.session, row)
    after = {"size_bytes": row.size_bytes, "sha256": row.sha256}
    entity = ("artifact", row.id)
    await work.record_audit("artifact.create", entity, after=after, owner_id=owner_id)
    return row
