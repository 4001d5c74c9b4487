"""API keys: credentials for programs."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.api_keys.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyRead
from api.http.bodies import JsonBody
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.links import BASE
from domain.errors import FieldProblem, InvalidInputError, NotFoundError, PermissionDeniedError
from persistence.identity import api_keys
from persistence.ledger import audit
from persistence.tables.api_keys import ApiKeyRow

router = APIRouter(prefix="/api-keys", tags=["users"])

LONGEST_LIFE = timedelta(days=3650)
"""Practically unlimited, but safe for date calculations (chosen)."""


@router.post("", status_code=201, responses={201: {"model": ApiKeyCreated}})
async def create_api_key(
    call: Called, body: Annotated[ApiKeyCreate, Depends(JsonBody(ApiKeyCreate))]
) -> Response:
    """Create a key. The secret is returned only here. You cannot create a key with a key."""

    async def create(session: AsyncSession) -> tuple[Response, Response]:
        _check(call, body)
        made = await api_keys.create(
            session,
            call.principal.user_id,
            name=body.name,
            role=body.role,
            expires_at=body.expires_at,
        )
        entity = ("api_key", made.row.id)
        await audit.record(session, call.actor, "api_key.create", entity, after=_facts(made.row))
        read = read_of(made.row)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        told = answer(ApiKeyCreated(**dict(read), secret=made.secret), 201, headers)
        # The stored response for repeated requests must not contain the secret.
        return answer(ApiKeyCreated(**dict(read), secret=None), 201, headers), told

    done = await run_once(call, create)
    return done.value or done.response


@router.get("", responses={200: {"model": Listing[ApiKeyRead]}})
async def list_api_keys(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """List your keys that are not revoked, newest first."""
    async with call.gateway.database.reading() as session:
        page = await api_keys.page(session, call.principal.user_id, query.window())
    return answer(listing(call.request, query, page, [read_of(row) for row in page.rows]))


@router.get("/{key_id}", responses={200: {"model": ApiKeyRead}})
async def get_api_key(call: Called, key_id: UUID) -> Response:
    """Get a key."""
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, key_id)
    return single(call.request, read_of(row))


@router.delete("/{key_id}", status_code=204)
async def revoke_api_key(call: Called, key_id: UUID) -> Response:
    """Revoke a key. This gateway refuses it at once, other gateways within seconds."""
    async with call.gateway.database.transaction() as session:
        row = await _own(session, call, key_id, lock=True)
        require_match(call.request, read_of(row))
        await api_keys.revoke(session, row)
        entity = ("api_key", key_id)
        await audit.record(session, call.actor, "api_key.revoke", entity, before=_facts(row))
    call.gateway.authenticator.forget(row.user_id)
    return Response(status_code=204)


def read_of(row: ApiKeyRow) -> ApiKeyRead:
    """A key, for its owner."""
    fields = ApiKeyRead.model_fields.keys() - {"links"}
    links = {"self": f"{BASE}/api-keys/{row.id}"}
    return ApiKeyRead(**{field: getattr(row, field) for field in fields}, links=links)


def _check(call: Call, body: ApiKeyCreate) -> None:
    if call.principal.api_key_id is not None:
        raise PermissionDeniedError("You cannot create an API key with an API key; use a token.")
    if body.role == "admin":
        call.require_admin()
    now = datetime.now(UTC)
    if body.expires_at is not None and not now < body.expires_at < now + LONGEST_LIFE:
        hint = "Use a time in the future, within ten years."
        raise InvalidInputError(
            "The API key is invalid; see errors.", [FieldProblem(("body", "expires_at"), hint)]
        )


def _facts(row: ApiKeyRow) -> dict[str, str | None]:
    ends = row.expires_at.isoformat() if row.expires_at else None
    return {"name": row.name, "prefix": row.prefix, "role": row.role, "expires_at": ends}


async def _own(session: AsyncSession, call: Call, key_id: UUID, *, lock: bool = False) -> ApiKeyRow:
    row = await api_keys.find(session, key_id, lock=lock)
    if row is None:
        raise NotFoundError(f"API key {key_id} does not exist.")
    call.require_own(row.user_id, "API key")
    return row
