"""Secrets: store, list and delete. Values are never returned."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.links import BASE
from api.secrets.schemas import Name, SecretPut, SecretRead
from domain.errors import NotFoundError
from persistence.definitions import secrets
from persistence.ledger import audit
from persistence.tables.secrets import SecretRow

router = APIRouter(prefix="/secrets", tags=["secrets"])


@router.get("", responses={200: {"model": Listing[SecretRead]}})
async def list_secrets(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """List the names of your secrets with their permitted hosts and tools, newest first."""
    async with call.gateway.database.reading() as session:
        page = await secrets.page(session, call.principal.user_id, query.window())
    return answer(listing(call.request, query, page, [read_of(row) for row in page.rows]))


@router.get("/{name}", responses={200: {"model": SecretRead}})
async def get_secret(call: Called, name: Name) -> Response:
    """Get the permitted hosts and tools of a secret."""
    async with call.gateway.database.reading() as session:
        row = await _mine(session, call, name)
    return single(call.request, read_of(row))


@router.put("/{name}", status_code=204, responses={201: {"model": SecretRead}, 204: {}})
async def put_secret(
    call: Called, name: Name, body: Annotated[SecretPut, Depends(JsonBody(SecretPut))]
) -> Response:
    """Store a new secret (201), or replace its value (204)."""
    async with call.gateway.database.transaction() as session:
        row, is_new = await secrets.put(
            session,
            call.gateway.sealer,
            call.principal.user_id,
            name,
            body.value.get_secret_value(),
            hosts=body.hosts,
            tools=body.tools,
        )
        action = "secret.create" if is_new else "secret.update"
        await audit.record(session, call.actor, action, ("secret", row.id), after=_facts(row))
    read = read_of(row)
    headers = {"ETag": etag(to_json(read))}
    if not is_new:
        return Response(status_code=204, headers=headers)
    return answer(read, 201, {**headers, "Location": read.links["self"]})


@router.delete("/{name}", status_code=204)
async def delete_secret(call: Called, name: Name) -> Response:
    """Delete a secret. Uses of its name fail from now on, with an error message."""
    async with call.gateway.database.transaction() as session:
        row = await _mine(session, call, name)
        require_match(call.request, read_of(row))
        await secrets.delete(session, row)
        entity = ("secret", row.id)
        await audit.record(session, call.actor, "secret.delete", entity, before=_facts(row))
    return Response(status_code=204)


def read_of(row: SecretRow) -> SecretRead:
    """A secret, for its owner."""
    return SecretRead(
        name=row.name,
        hosts=row.hosts,
        tools=row.tools,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_used_at=row.last_used_at,
        links={"self": f"{BASE}/secrets/{row.name}"},
    )


async def _mine(session: AsyncSession, call: Call, name: str) -> SecretRow:
    """The caller's secret. Other users' secrets count as missing."""
    row = await secrets.find(session, call.principal.user_id, name)
    if row is None:
        raise NotFoundError(f"You have no secret named {name!r}.")
    return row


def _facts(row: SecretRow) -> dict[str, object]:
    return {"name": row.name, "hosts": row.hosts, "tools": row.tools}
