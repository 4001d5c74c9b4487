"""Routes of secrets: store, list and delete them; no response contains a value."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.request_context import Called
from api.http.resource_routes import ResourceRoutes
from api.http.schemas import view_of
from api.secrets.schemas import SecretRead
from api.secrets.views import respond_stored
from services.definitions import secrets
from services.definitions.inputs import SecretName, SecretPut
from services.definitions.secrets import SECRETS

router = APIRouter(prefix="/secrets", tags=["secrets"])


async def _key(name: SecretName) -> str:
    return name


routes = ResourceRoutes(router, SECRETS, SecretRead, view_of(SecretRead), "/{name}", _key)
routes.add_list(
    SECRETS.page, "List the names of your secrets and where they may be used, newest first."
)
routes.add_get("Get where a secret may be used.")
routes.add_delete("Delete a secret. Executions that use it fail from now on, with a clear error.")


@router.put("/{name}", status_code=204, responses={201: {"model": SecretRead}, 204: {}})
async def put_secret(
    call: Called, name: SecretName, body: Annotated[SecretPut, Depends(JsonBody(SecretPut))]
) -> Response:
    """Store a secret (201), or replace the one with this name (204)."""
    service = partial(secrets.put_secret, name=name, body=body)
    return await run_service(call, service, respond_stored)
