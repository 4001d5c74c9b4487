"""Routes of secrets: store, list and delete them; no response contains a value."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.request_context import Call, Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import answer, etag, to_json
from api.http.schemas import Read, from_row, view_of
from api.links import BASE
from services.definitions import secrets
from services.definitions.inputs import SecretName, SecretPut
from services.definitions.secrets import SECRETS, StoredSecret


class SecretRead(Read):
    """A secret without its value, which cannot be read."""

    paths = {"self": "/secrets/{name}"}

    name: str
    hosts: list[str]
    tools: list[str]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None


async def respond_stored(_: Call, __: AsyncSession, secret: StoredSecret) -> Response:
    """Respond with 201 if the name is new, else with 204."""
    read = from_row(SecretRead, secret.row)
    headers = {"ETag": etag(to_json(read))}
    if not secret.is_new:
        return Response(status_code=204, headers=headers)
    return answer(read, 201, {**headers, "Location": read.links["self"]})


router = APIRouter(prefix=f"{BASE}/secrets", tags=["secrets"])


routes = ResourceRoutes(
    router, "secret", SecretRead, view_of(SecretRead), "/{name}", path_key("name", SecretName)
)
routes.add_list(
    SECRETS.page, "List the names of your secrets and where they may be used, newest first."
)
routes.add_get(SECRETS.find, "Get where a secret may be used.")
routes.add_delete(
    SECRETS.delete, "Delete a secret. Executions that use it fail from now on, with a clear error."
)


@router.put("/{name}", status_code=204, responses={201: {"model": SecretRead}, 204: {}})
async def put_secret(
    call: Called, name: SecretName, body: Annotated[SecretPut, Depends(JsonBody(SecretPut))]
) -> Response:
    """Store a secret (201), or replace the one with this name (204)."""
    service = partial(secrets.put_secret, name=name, body=body)
    return await run_service(call, service, respond_stored)
