"""List, read and download files of a workspace."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse

from api.files.archives import ArchiveResponse
from api.files.schemas import ArchiveQuery, DirectoryQuery, FileQuery, FileRead
from api.files.workspaces import (
    WorkspaceFiles,
    find_workspace,
    list_directory,
    open_workspace,
    send_archive,
    send_file,
)
from api.http.paging import Listing
from api.http.rendering import render_items
from api.http.request_context import Call, Called
from api.links import BASE
from services.executions.access import get_readable_execution

router = APIRouter(prefix=f"{BASE}/task-executions/{{execution_id}}/files", tags=["executions"])


@router.get("", responses={200: {"model": Listing[FileRead]}})
async def list_files(
    call: Called, execution_id: UUID, query: Annotated[DirectoryQuery, Query()]
) -> Response:
    """List a directory of the workspace, sorted by name. Executions of a session share it."""
    files = await _open_workspace(call, execution_id)
    page = await list_directory(files, query.path, query.span())
    return render_items(call, query, page, page.rows)


@router.head("/content", include_in_schema=False)
@router.get("/content", response_class=FileResponse)
async def get_file(
    call: Called, execution_id: UUID, query: Annotated[FileQuery, Query()]
) -> Response:
    """Download a file of the workspace; supports `Range`."""
    return await send_file(await _open_workspace(call, execution_id), query.path)


@router.get(
    "/archive",
    status_code=200,
    response_class=ArchiveResponse,
    responses={200: {"description": "A tar.gz."}},
)
async def get_archive(
    call: Called, execution_id: UUID, query: Annotated[ArchiveQuery, Query()]
) -> Response:
    """Download a directory of the workspace as `tar.gz`.

    The archive omits links that lead out and special files, and contains a list of them.
    """
    files = await _open_workspace(call, execution_id)
    return await send_archive(files, query.path, f"execution-{execution_id}.tar.gz")


async def _open_workspace(call: Call, execution_id: UUID) -> WorkspaceFiles:
    async with call.gateway.database.reading() as session:
        row = await get_readable_execution(session, call.caller, execution_id)
        place = await find_workspace(session, call.gateway, row)
    return await open_workspace(call.gateway, place)
