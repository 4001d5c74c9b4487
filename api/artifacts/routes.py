"""Artifacts: stored files of executions and of clients."""

import errno
import mimetypes
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import FileResponse
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.artifacts.schemas import ArtifactCreate, ArtifactRead
from api.http.bodies import JsonBody
from api.http.files import file_response
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, single, to_json
from domain.errors import FilesElsewhereError, NotFoundError
from persistence.ledger import audit
from persistence.sessions import artifacts
from persistence.tables.artifacts import ArtifactRow
from persistence.tables.executions import ExecutionRow
from services.executions.access import own_execution, require_active

router = APIRouter(tags=["artifacts"])


@router.get(
    "/task-executions/{execution_id}/artifacts", responses={200: {"model": Listing[ArtifactRead]}}
)
async def list_artifacts(
    call: Called, execution_id: UUID, query: Annotated[ListQuery, Query()]
) -> Response:
    """List the artifacts of an execution, newest first."""
    async with call.gateway.database.reading() as session:
        await own_execution(session, call.caller, execution_id)
        page = await artifacts.page(session, execution_id, query.window())
    return answer(listing(call.request, query, page, [views.artifact(row) for row in page.rows]))


@router.post("/artifacts", status_code=201, responses={201: {"model": ArtifactRead}})
async def create_artifact(
    call: Called, body: Annotated[ArtifactCreate, Depends(JsonBody(ArtifactCreate))]
) -> Response:
    """Store a file, optionally for one of your executions that has not ended."""

    async def create(session: AsyncSession) -> tuple[Response, None]:
        owner_id = call.principal.user_id
        if body.execution_id is not None:
            owner_id = (await _unended(session, call, body.execution_id)).user_id
        row = ArtifactRow(
            user_id=owner_id,
            execution_id=body.execution_id,
            kind="artifact",
            name=body.name,
            media_type=body.media_type or _media_type(body),
            size_bytes=len(body.data),
            sha256=await _kept(call, body.data),
        )
        await artifacts.create(session, row)
        after = {"size_bytes": row.size_bytes, "sha256": row.sha256}
        entity = ("artifact", row.id)
        action = "artifact.create"
        await audit.record(session, call.actor, action, entity, after=after, owner_id=owner_id)
        read = views.artifact(row)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), None

    return (await run_once(call, create)).response


@router.get("/artifacts/{artifact_id}", responses={200: {"model": ArtifactRead}})
async def get_artifact(call: Called, artifact_id: UUID) -> Response:
    """Get the metadata of an artifact."""
    return single(call.request, views.artifact(await _own(call, artifact_id)))


@router.get("/artifacts/{artifact_id}/content", response_class=FileResponse)
async def get_artifact_content(call: Called, artifact_id: UUID) -> Response:
    """Download the content; supports `Range`."""
    return file_response(call.gateway.blobs, await _own(call, artifact_id))


async def _kept(call: Call, content: bytes) -> str:
    """Store the content and return its sha256.

    Raises:
        FilesElsewhereError: this gateway cannot write to the store.
    """
    try:
        return await call.gateway.blobs.add(content)
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.EACCES}:
            raise
        raise FilesElsewhereError(
            "This gateway cannot write artifacts. Use another gateway, or give this one write "
            "access to $PERDURE_HOME/artifacts."
        ) from error


async def _unended(session: AsyncSession, call: Call, execution_id: UUID) -> ExecutionRow:
    """A locked execution, to which a file can be added.

    Raises:
        NotFoundError: the execution does not exist.
        PermissionDeniedError: it belongs to another user.
        ExecutionTerminalError: it has ended.
    """
    row = await own_execution(session, call.caller, execution_id, lock=True)
    require_active(row)
    return row


def _media_type(body: ArtifactCreate) -> str:
    if guessed := mimetypes.guess_type(body.name)[0]:
        return guessed
    return "application/octet-stream" if body.content is None else "text/plain; charset=utf-8"


async def _own(call: Call, artifact_id: UUID) -> ArtifactRow:
    async with call.gateway.database.reading() as session:
        row = await artifacts.find(session, artifact_id)
    if row is None:
        raise NotFoundError(f"Artifact {artifact_id} does not exist.")
    call.require_own(row.user_id, "artifact")
    return row
