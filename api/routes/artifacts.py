"""Files an execution kept."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api import views
from api.calls import Called
from api.pages import Listing, ListQuery, listing
from api.responses import answer, single
from api.routes.executions import own_execution
from api.schemas.artifacts import ArtifactRead
from domain.errors import NotFoundError
from persistence import artifacts

router = APIRouter(tags=["artifacts"])


@router.get("/task-executions/{execution_id}/artifacts", responses={200: {"model": Listing}})
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
    async with call.gateway.database.reading() as session:
        row = await artifacts.find(session, artifact_id)
    if row is None:
        raise NotFoundError(f"There is no artifact {artifact_id}.")
    call.require_own(row.user_id, "artifact")
    return single(call.request, views.artifact(row))
