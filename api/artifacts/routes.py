"""Routes of artifacts: files that executions saved, and files that clients sent."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import FileResponse

from api.artifacts.schemas import (
    ArtifactRead,
    PrunedArtifactsRead,
    StoreCheckRead,
    render_artifact,
    render_check,
    respond_pruned,
)
from api.http.bodies import JsonBody
from api.http.files import content_tag, file_response
from api.http.idempotency import run_service
from api.http.paging import Listing, ResourceQuery
from api.http.rendering import render_created, render_page
from api.http.request_context import Call, Called
from api.http.responses import answer, respond_if_known, single
from api.links import BASE
from persistence.sessions import artifacts
from services import artifact_retention, stored_files
from services import artifacts as services
from services.artifact_retention import PruneBody
from services.artifacts import ArtifactCreate, ArtifactUpload, ReceivedFile
from services.executions.access import get_readable_execution

router = APIRouter(prefix=BASE, tags=["artifacts"])

UPLOADED = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
"""The request body of an upload, for the OpenAPI document."""


@router.get(
    "/task-executions/{execution_id}/artifacts", responses={200: {"model": Listing[ArtifactRead]}}
)
async def list_artifacts(
    call: Called, execution_id: UUID, query: Annotated[ResourceQuery, Query()]
) -> Response:
    """List the files that an execution saved, newest first."""
    async with call.gateway.database.reading() as session:
        await get_readable_execution(session, call.caller, execution_id)
        page = await artifacts.page(session, execution_id, query.window())
    return render_page(call, query, page, render_artifact)


@router.post("/artifacts", status_code=201, responses={201: {"model": ArtifactRead}})
async def create_artifact(
    call: Called, body: Annotated[ArtifactCreate, Depends(JsonBody(ArtifactCreate))]
) -> Response:
    """Store a file, for an execution of yours that has not ended or on its own."""
    prepare = partial(services.store_content, call.services, call.caller, body)
    service = partial(services.create_artifact, body=body)
    return await run_service(call, service, render_created(render_artifact), prepare=prepare)


@router.post(
    "/artifacts/upload",
    status_code=201,
    responses={201: {"model": ArtifactRead}},
    openapi_extra={"requestBody": UPLOADED},
)
async def upload_artifact(call: Called, query: Annotated[ArtifactUpload, Query()]) -> Response:
    """Store the request body as a file, for an execution of yours that has not ended or on its own.

    The body is stored as it arrives, so it can be larger than other bodies. The media type is
    `media_type`, or that of the name, if the first bytes of the file agree with it.
    """
    return await _create_uploaded(call, query, await _receive(call, query))


@router.post("/tasks/{task_id}/artifacts/prune", responses={200: {"model": PrunedArtifactsRead}})
async def prune_artifacts(
    call: Called,
    task_id: UUID,
    body: Annotated[PruneBody, Depends(JsonBody(PruneBody, optional=True))],
) -> Response:
    """List the old artifacts of your executions of a task; delete them unless it is a dry run.

    Old are those of executions that ended more than `older_than_seconds` ago; the default is the
    task's `artifact_retention_seconds`. `dry_run` is true by default.
    """
    service = partial(artifact_retention.prune, task_id=task_id, body=body)
    return await run_service(call, service, partial(respond_pruned, dry_run=body.dry_run))


@router.get("/artifacts/{artifact_id}", responses={200: {"model": ArtifactRead}})
async def get_artifact(call: Called, artifact_id: UUID) -> Response:
    """Get the metadata of a file."""
    async with call.gateway.database.reading() as session:
        row = await services.find_artifact(session, call.caller, artifact_id)
    return single(call.request, render_artifact(call, row))


@router.head("/artifacts/{artifact_id}/content", include_in_schema=False)
@router.get("/artifacts/{artifact_id}/content", response_class=FileResponse)
async def get_artifact_content(call: Called, artifact_id: UUID) -> Response:
    """Get the bytes of a file, or a `Range` of them."""
    async with call.gateway.database.reading() as session:
        row = await services.find_artifact(session, call.caller, artifact_id)
    tag = content_tag(row)
    return respond_if_known(call.request, tag) or await file_response(
        call.gateway.services.blobs, row
    )


@router.get("/admin/artifacts/check", responses={200: {"model": StoreCheckRead}}, tags=["admin"])
async def check_artifacts(
    call: Called,
    after: Annotated[
        str, Query(pattern="^([0-9a-f]{64})?$", description="`next_after` of the previous check.")
    ] = "",
) -> Response:
    """Read stored files and compare them with their SHA-256 (admins only).

    Reads for some seconds; `next_after` is set if there are more files. Lists the files that are
    missing or changed, with up to 20 artifacts and executions that each affects.
    """
    call.caller.require_admin()
    blobs = call.services.blobs
    return answer(render_check(await stored_files.check_store(call.gateway.database, blobs, after)))


async def _receive(call: Call, upload: ArtifactUpload) -> ReceivedFile:
    limit = call.gateway.settings.max_upload_bytes
    leave = call.gateway.uploads.enter(call.caller.user_id)
    try:
        received = await services.receive_upload(
            call.services, call.caller, upload, call.stream_body(), limit_bytes=limit
        )
    finally:
        leave()
    call.identify_body(f"{call.request.url.query} {received.stored.sha256}")
    return received


async def _create_uploaded(call: Call, upload: ArtifactUpload, received: ReceivedFile) -> Response:
    service = partial(services.create_uploaded, upload=upload, received=received)
    is_refused = True
    try:
        response = await run_service(call, service, render_created(render_artifact))
        is_refused = response.status_code >= 400  # noqa: PLR2004 - the classes of refusals
    finally:
        if is_refused:
            call.services.storage.add_refused(call.caller.user_id, received.stored)
    return response
