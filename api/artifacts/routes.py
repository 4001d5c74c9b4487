"""Routes of artifacts: files that executions saved, and files that clients sent."""

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import FileResponse

from api.http.bodies import JsonBody
from api.http.files import file_response
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery
from api.http.rendering import created, render_page
from api.http.request_context import Called
from api.http.responses import single
from api.http.schemas import Read, view_of
from persistence.sessions import artifacts
from services import artifacts as services
from services.artifacts import ArtifactCreate
from services.executions.access import readable_execution


class ArtifactRead(Read):
    """A stored file; its bytes are at `_links.content`."""

    paths = {
        "self": "/artifacts/{id}",
        "content": "/artifacts/{id}/content",
        "execution": "/task-executions/{execution_id}",
    }

    id: UUID
    user_id: UUID
    execution_id: UUID | None
    tool_call_id: UUID | None
    kind: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    created_at: datetime


router = APIRouter(tags=["artifacts"])

render_artifact = view_of(ArtifactRead)


@router.get(
    "/task-executions/{execution_id}/artifacts", responses={200: {"model": Listing[ArtifactRead]}}
)
async def list_artifacts(
    call: Called, execution_id: UUID, query: Annotated[ListQuery, Query()]
) -> Response:
    """List the files that an execution saved, newest first."""
    async with call.gateway.database.reading() as session:
        await readable_execution(session, call.caller, execution_id)
        page = await artifacts.page(session, execution_id, query.window())
    return render_page(call, query, page, render_artifact)


@router.post("/artifacts", status_code=201, responses={201: {"model": ArtifactRead}})
async def create_artifact(
    call: Called, body: Annotated[ArtifactCreate, Depends(JsonBody(ArtifactCreate))]
) -> Response:
    """Store a file, for an execution of yours that has not ended or on its own."""
    service = partial(services.create_artifact, body=body)
    return await run_service(call, service, created(render_artifact))


@router.get("/artifacts/{artifact_id}", responses={200: {"model": ArtifactRead}})
async def get_artifact(call: Called, artifact_id: UUID) -> Response:
    """Get the metadata of a file."""
    async with call.gateway.database.reading() as session:
        row = await services.find_artifact(session, call.caller, artifact_id)
    return single(call.request, render_artifact(call, row))


@router.get("/artifacts/{artifact_id}/content", response_class=FileResponse)
async def get_artifact_content(call: Called, artifact_id: UUID) -> Response:
    """Get the bytes of a file, or a `Range` of them."""
    async with call.gateway.database.reading() as session:
        row = await services.find_artifact(session, call.caller, artifact_id)
    return await file_response(call.gateway.services.blobs, row)
