"""Routes of memory: entries by namespace and key, their versions, search, and grants."""

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.errors import MalformedRequestError
from api.http.idempotency import run_service
from api.http.paging import Listing
from api.http.rendering import render_items, render_page
from api.http.request_context import Call, Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import answer, respond_if_known, tags_of
from api.http.schemas import Read, from_row, view_of
from api.links import BASE
from api.memory.schemas import (
    LAST_VERSION,
    MemoryEntryRead,
    MemoryHistoryQuery,
    MemoryListQuery,
    MemoryVersionRead,
    render_entry,
)
from definitions.memory import Key, Namespace
from domain.memory.entries import GrantMode
from services.memory import entries, grants, imports, reading, versions
from services.memory.entries import ANY_VERSION, NO_VERSION, StoredEntry
from services.memory.grants import MEMORY_GRANTS
from services.memory.imports import ImportedEntries
from services.memory.inputs import MemoryGrantCreate, MemoryImport, MemoryPut, Subject
from services.memory.reading import EntryAddress


class MemoryImported(BaseModel):
    """How many entries were new, how many existed, and how many had expired and were left out."""

    model_config = ConfigDict(frozen=True)

    created: int
    existing: int
    expired: int


def read_address(
    namespace: Namespace, key: Annotated[Key, Path()], owner: Subject | None = None
) -> EntryAddress:
    """The dependency that reads which entry is meant."""
    return EntryAddress(namespace, key, owner)


router = APIRouter(prefix=BASE, tags=["memory"])


def _tag(version: int) -> str:
    return f'"{version}"'


def _read_expected_versions(request: Request) -> Collection[int] | None:
    """The versions of which one must be the present one, from the headers; None: any."""
    excluded = tags_of(request, "if-none-match")
    if excluded == ["*"]:
        return {NO_VERSION}
    if excluded:
        text = "If-None-Match can only be * here; send If-Match with the ETag of the entry."
        raise MalformedRequestError(text)
    tags = tags_of(request, "if-match")
    if not tags:
        return None
    if "*" in tags:
        return ANY_VERSION
    try:
        return {int(tag.strip('"')) for tag in tags}
    except ValueError:
        text = 'If-Match must name versions, such as "3"; send the ETag of the entry.'
        raise MalformedRequestError(text) from None


@router.get("/memory", responses={200: {"model": Listing[MemoryEntryRead]}})
async def list_memory(call: Called, query: Annotated[MemoryListQuery, Query()]) -> Response:
    """List your entries, newest first, or search them (`q`), best matches first."""
    query = query.with_limit()
    async with call.gateway.database.reading() as session:
        page = await reading.list_entries(
            call.services, session, call.caller, query.memory_query(), query.window()
        )
    return render_page(call, query, page, render_entry)


async def respond_imported(_: Call, __: AsyncSession, done: ImportedEntries) -> Response:
    """Respond with the numbers of entries."""
    new, written = sum(entry.is_new for entry in done.stored), len(done.stored)
    return answer(MemoryImported(created=new, existing=written - new, expired=done.expired))


@router.post("/memory/import", responses={200: {"model": MemoryImported}})
async def import_memory(
    call: Called, body: Annotated[MemoryImport, Depends(JsonBody(MemoryImport))]
) -> Response:
    """Write up to 1,000 entries: all, or none if one is invalid.

    Entries with the same content do not change. Entries whose `expires_at` has passed are left out.
    """
    return await run_service(call, partial(imports.import_entries, body=body), respond_imported)


@router.get(
    "/memory/{namespace}/{key:path}/history", responses={200: {"model": Listing[MemoryVersionRead]}}
)
async def list_memory_versions(
    call: Called,
    namespace: Namespace,
    key: Annotated[Key, Path()],
    query: Annotated[MemoryHistoryQuery, Query()],
) -> Response:
    """List the versions of an entry, which may be deleted, oldest first."""
    address = EntryAddress(namespace, key, query.owner)
    async with call.gateway.database.reading() as session:
        page = await versions.list_versions(session, call.caller, address, query.span())
    items = [from_row(MemoryVersionRead, row) for row in page.rows]
    return render_items(call, query, page, items)


@router.get("/memory/{namespace}/{key:path}", responses={200: {"model": MemoryEntryRead}})
async def get_memory(
    call: Called,
    address: Annotated[EntryAddress, Depends(read_address)],
    version: Annotated[int | None, Query(ge=1, le=LAST_VERSION)] = None,
) -> Response:
    """Get an entry, or one version of it, even if the entry is deleted."""
    async with call.gateway.database.reading() as session:
        found = await versions.find_version(session, call.caller, address, version)
    old = {} if found.version is None else versions.version_fields(found.version)
    read = render_entry(call, found.row, **old)
    tag = _tag(read.version)
    return respond_if_known(call.request, tag) or answer(read, headers={"ETag": tag})


async def respond_stored(call: Call, _: AsyncSession, stored: StoredEntry) -> Response:
    """Respond with 201 if the entry is new, else with 200."""
    read = render_entry(call, stored.row)
    headers = {"ETag": _tag(read.version)}
    if stored.is_new:
        headers["Location"] = read.links["self"]
    return answer(read, 201 if stored.is_new else 200, headers)


@router.put(
    "/memory/{namespace}/{key:path}",
    responses={200: {"model": MemoryEntryRead}, 201: {"model": MemoryEntryRead}},
)
async def put_memory(
    call: Called,
    address: Annotated[EntryAddress, Depends(read_address)],
    body: Annotated[MemoryPut, Depends(JsonBody(MemoryPut))],
) -> Response:
    """Write an entry as its next version. The same content again changes nothing.

    `If-Match` with a version, such as `"3"`, writes only if the entry still has it (412), and
    `If-None-Match: *` only if there is no such entry.
    """
    expected = _read_expected_versions(call.request)
    service = partial(entries.put_entry, address=address, body=body, expected=expected)
    return await run_service(call, service, respond_stored)


async def respond_deleted(_: Call, __: AsyncSession, ___: None) -> Response:
    """Respond with 204."""
    return Response(status_code=204)


@router.delete("/memory/{namespace}/{key:path}", status_code=204)
async def delete_memory(
    call: Called,
    address: Annotated[EntryAddress, Depends(read_address)],
    *,
    purge: Annotated[bool, Query(description="Delete all its versions, too.")] = False,
) -> Response:
    """Delete an entry. Its versions stay readable, and it can be written again."""
    expected = _read_expected_versions(call.request)
    service = partial(entries.delete_entry, address=address, expected=expected, purge=purge)
    return await run_service(call, service, respond_deleted)


class MemoryGrantRead(Read):
    """A grant: the grantee may use the namespace of the owner, and those below it."""

    paths = {"self": "/memory-grants/{id}"}

    id: UUID
    user_id: UUID
    grantee_id: UUID
    namespace: str
    mode: GrantMode
    created_at: datetime


grant_router = APIRouter(prefix=f"{BASE}/memory-grants", tags=["memory"])
grant_routes = ResourceRoutes(
    grant_router,
    "memory_grant",
    MemoryGrantRead,
    view_of(MemoryGrantRead),
    "/{grant_id}",
    path_key("grant_id"),
)
grant_routes.add_create(
    grants.create_grant,
    MemoryGrantCreate,
    "Let another user read, or also write, a namespace of yours. They name you as `owner`.",
)
grant_routes.add_list(MEMORY_GRANTS.page, "List the grants that you gave or received.")
grant_routes.add_get(MEMORY_GRANTS.find, "Get a grant.")
grant_routes.add_delete(MEMORY_GRANTS.delete, "Take a grant back: it holds no longer at once.")
router.routes += grant_router.routes
