"""Routes of the caller: their profile and their API keys."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.rendering import render_created_with_secret
from api.http.request_context import Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import single
from api.http.schemas import view_of
from api.links import BASE
from api.users.schemas import ApiKeyCreated, ApiKeyRead, MeRead, render_me, reveal_api_key
from services.identity import api_keys
from services.identity.api_keys import API_KEYS, ApiKeyCreate
from services.identity.users import read_profile

router = APIRouter(prefix=BASE, tags=["users"])
api_key_router = APIRouter(prefix=f"{BASE}/api-keys", tags=["users"])


@router.get("/me", responses={200: {"model": MeRead}})
async def get_me(call: Called) -> Response:
    """Get who you are, what you may use, and how much of it is used."""
    async with call.gateway.database.reading() as session:
        profile = await read_profile(session, call.caller, call.services)
    return single(call.request, render_me(call, profile))


@api_key_router.post("", status_code=201, responses={201: {"model": ApiKeyCreated}})
async def create_api_key(
    call: Called, body: Annotated[ApiKeyCreate, Depends(JsonBody(ApiKeyCreate))]
) -> Response:
    """Create an API key. Only this response contains its secret. A key cannot create keys."""
    service = partial(api_keys.create_api_key, body=body)
    return await run_service(
        call, service, render_created_with_secret(ApiKeyRead, ApiKeyCreated, reveal_api_key)
    )


@api_key_router.post("/{key_id}/rotate", status_code=201, responses={201: {"model": ApiKeyCreated}})
async def rotate_api_key(call: Called, key_id: UUID) -> Response:
    """Replace an API key by a new one with the same name, role and scopes, and revoke the old one.

    Only this response contains the new secret.
    """
    service = partial(api_keys.rotate_api_key, key_id=key_id)
    return await run_service(
        call, service, render_created_with_secret(ApiKeyRead, ApiKeyCreated, reveal_api_key)
    )


routes = ResourceRoutes(
    api_key_router, "api_key", ApiKeyRead, view_of(ApiKeyRead), "/{key_id}", path_key("key_id")
)
routes.add_list(API_KEYS.page, "List your API keys that are not revoked, newest first.")
routes.add_get(API_KEYS.find, "Get an API key.")
routes.add_delete(
    API_KEYS.delete,
    "Revoke an API key: at once on this gateway, within seconds on others.",
    verb="revoke",
)

router.routes += api_key_router.routes
