"""Routes of hooks: secret URLs that execute a task on behalf of its owner."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import Field, RootModel
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.auth.principal import Principal
from api.gateway import Gateway
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ResourceQuery, public_address
from api.http.rendering import render_created_with_secret, render_page
from api.http.request_context import Call, Called, address_of, admit
from api.http.resource_routes import ResourceRoutes
from api.http.responses import answer
from api.http.schemas import Read, view_of
from domain.errors import NotFoundError
from persistence.definitions import hooks
from persistence.definitions.hooks import NewHook
from persistence.tables.definitions import HookRow
from persistence.tables.executions import ExecutionRow
from services import hooks as services
from services.definitions.inputs import HookCreate
from services.hooks import HOOKS, NO_HOOK, TRIGGER_TYPE


class HookRead(Read):
    """A hook. Its URL is shown once, when the hook is created."""

    paths = {"self": "/tasks/{task_id}/hooks/{id}", "task": "/tasks/{task_id}"}

    id: UUID
    task_id: UUID
    name: str | None
    created_at: datetime
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")]


class HookCreated(HookRead):
    """A new hook with its secret."""

    token: Annotated[
        str | None,
        Field(description="Shown this once; null in the response to a repeated request."),
    ]
    url: Annotated[
        str | None, Field(description="The URL to POST to; it is as secret as the token.")
    ]


class HookPayload(RootModel[dict[str, Any]]):
    """The body of a call: any JSON object. Its top-level fields are the prompt's variables."""


class HookAccepted(Read):
    """The execution that a call started."""

    execution_id: UUID
    status: str


def reveal_hook(call: Call, hook: NewHook) -> dict[str, str]:
    """Return the token and the URL, with the address of the gateway as operator or client know it.

    Only the response to the request that created the hook contains them.
    """
    base = public_address(call.request)
    return {"token": hook.token, "url": f"{base}{links.BASE}/hooks/{hook.token}"}


async def respond_accepted(_: Call, __: AsyncSession, row: ExecutionRow) -> Response:
    """Respond with the execution that a call started."""
    path = links.execution_path(row.id)
    read = HookAccepted(execution_id=row.id, status=row.status, links={"execution": path})
    return answer(read, 202, {"Location": path})


router = APIRouter(prefix=links.BASE, tags=["hooks"])

_PAYLOAD = JsonBody(HookPayload, optional=True)
_ANY_OBJECT = {"content": {"application/json": {"schema": {"type": "object"}}}}


async def _key(task_id: UUID, hook_id: UUID) -> tuple[UUID, UUID]:
    return task_id, hook_id


@router.post("/tasks/{task_id}/hooks", status_code=201, responses={201: {"model": HookCreated}})
async def create_hook(
    call: Called,
    task_id: UUID,
    body: Annotated[HookCreate, Depends(JsonBody(HookCreate, optional=True))],
) -> Response:
    """Create a secret URL: a POST of JSON to it executes the task on behalf of its owner.

    Only this response contains the URL.
    """
    service = partial(services.create_hook, task_id=task_id, body=body)
    return await run_service(
        call, service, render_created_with_secret(HookRead, HookCreated, reveal_hook)
    )


@router.get("/tasks/{task_id}/hooks", responses={200: {"model": Listing[HookRead]}})
async def list_hooks(
    call: Called, task_id: UUID, query: Annotated[ResourceQuery, InQuery()]
) -> Response:
    """List the hooks of a task of yours, newest first."""
    async with call.gateway.database.reading() as session:
        page = await services.list_hooks(session, call.caller, task_id, query.window())
    return render_page(call, query, page, view_of(HookRead))


routes = ResourceRoutes(
    router, "hook", HookRead, view_of(HookRead), "/tasks/{task_id}/hooks/{hook_id}", _key
)
routes.add_get(HOOKS.find, "Get a hook, without its URL.")
routes.add_delete(HOOKS.delete, "Delete a hook. Its URL cannot be used again.")


async def authenticate_hook(request: Request, token: str) -> tuple[Call, HookRow]:
    """Authenticate a call by the token in its URL.

    The path of the request is replaced by one with the hook's id: it is logged, shown in errors and
    stored with idempotency keys, and must not contain the secret.

    Raises:
        NotFoundError: no hook has this token.
        RateLimitedError: too many wrong tokens from this address, or too many calls of the owner's
            hooks.
    """
    request.scope["path"] = f"{links.BASE}/hooks/…"
    gateway: Gateway = request.app.state.gateway
    async with gateway.database.reading() as session:
        row = await hooks.find_by_token(session, token)
    if row is None:
        gateway.authenticator.count_refusal(address_of(request))
        raise NotFoundError(NO_HOOK)
    request.scope["path"] = f"{links.BASE}/hooks/{row.id}"
    name = f"hook {row.id}"
    owner = Principal(row.user_id, name, is_admin=False, trigger_type=TRIGGER_TYPE, is_hook=True)
    return admit(request, gateway, owner), row


@router.post(
    "/hooks/{token}",
    status_code=202,
    responses={202: {"model": HookAccepted}},
    openapi_extra={"requestBody": _ANY_OBJECT},
)
async def call_hook(
    called: Annotated[tuple[Call, HookRow], Depends(authenticate_hook)],
) -> Response:
    """Execute the hook's task. The top-level fields of the body are the prompt's variables."""
    call, hook = called
    payload = (await _PAYLOAD(call)).root
    service = partial(services.call_hook, hook_id=hook.id, task_id=hook.task_id, payload=payload)
    return await run_service(call, service, respond_accepted)
