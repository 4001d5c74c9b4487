"""Files an execution kept."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse

from api import views
from api.http.calls import Call, Called
from api.http.files import file_response
from api.http.pages import Listing, ListQuery, listing
from api.http.responses import answer, single
from api.routes.executions import own_execution
from api.schemas.artifacts import ArtifactRead
from domain.errors import NotFoundError
from persistence import artifacts
from persistence.tables.artifacts import ArtifactRow

router = APIRouter(tags=["artifacts"])


@router.get(
    "/task-executions/{execution_id}/artifacts", responses={200: {"model": Listing[ArtifactRead]}}
)
async def list_artifacts(
    call: Called, execution_id: UUID, query: Annotated[ListQuery, Query()]
) -> Response:
    """The files an execution kept, newest first."""
    async with call.gateway.database.reading() as session:
        await own_execution(session, call, execution_id)
        page = await artifacts.page(session, execution_id, query.window())
    return answer(listing(call.request, query, page, [views.artifact(row) for row in page.rows]))


@router.get("/artifacts/{artifact_id}", responses={200: {"model": ArtifactRead}})
async def get_artifact(call: Called, artifact_id: UUID) -> Response:
    """One file's metadata."""
    return single(call.request, views.artifact(await _own(call, artifact_id)))


@router.get("/artifacts/{artifact_id}/content", response_class=FileResponse)
async def get_artifact_content(call: Called, artifact_id: UUID) -> Response:
    """The bytes; `Range` is honoured."""
    return file_response(call.gateway.blobs, await _own(call, artifact_id))


async def _own(call: Call, artifact_id: UUID) -> ArtifactRow:
    async with call.gateway.database.reading() as session:
        row = await artifacts.find(session, artifact_id)
    if row is None:
        raise NotFoundError(f"There is no artifact {artifact_id}.")
    call.require_own(row.user_id, "artifact")
    return row
