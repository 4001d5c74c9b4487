"""Hooks: secret URLs that execute a task as its owner."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from sqlalchemy.ext.asyncio import AsyncSession

from api import links, views
from api.auth.authentication import Principal
from api.gateway import Gateway
from api.hooks.schemas import HookAccepted, HookCreate, HookCreated, HookPayload, HookRead
from api.http.bodies import JsonBody
from api.http.idempotency import run_once, run_service
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called, address_of
from api.http.responses import answer, etag, require_match, single, to_json
from domain.errors import NotFoundError
from persistence.definitions import hooks
from persistence.ledger import audit
from persistence.tables.executions import ExecutionRow
from persistence.tables.hooks import HookRow
from services.executions.access import own_task, readable_task
from services.hooks import NO_HOOK, TRIGGER_TYPE
from services.hooks import call_hook as run_hook

router = APIRouter(tags=["hooks"])

_PAYLOAD = JsonBody(HookPayload, optional=True)
_ANY_OBJECT = {"content": {"application/json": {"schema": {"type": "object"}}}}


@router.post("/tasks/{task_id}/hooks", status_code=201, responses={201: {"model": HookCreated}})
async def create_hook(
    call: Called,
    task_id: UUID,
    body: Annotated[HookCreate, Depends(JsonBody(HookCreate, optional=True))],
) -> Response:
    """Create a secret URL. A POST with JSON to this URL executes the task as its owner.

    The URL is returned only here.
    """

    async def create(session: AsyncSession) -> tuple[Response, Response]:
        task = await own_task(session, call.caller, task_id)
        made = await hooks.create(session, task_id, task.row.user_id, name=body.name)
        after = {"task_id": str(task_id), "name": body.name}
        entity, owner = ("hook", made.row.id), task.row.user_id
        await audit.record(session, call.actor, "hook.create", entity, after=after, owner_id=owner)
        read = views.hook(made.row)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        url = f"{_outside(call)}{links.BASE}/hooks/{made.token}"
        told = HookCreated(**dict(read), token=made.token, url=url)
        # The stored response for repeated requests must not contain the secret.
        kept = HookCreated(**dict(read), token=None, url=None)
        return answer(kept, 201, headers), answer(told, 201, headers)

    done = await run_once(call, create)
    return done.value or done.response


@router.get("/tasks/{task_id}/hooks", responses={200: {"model": Listing[HookRead]}})
async def list_hooks(
    call: Called, task_id: UUID, query: Annotated[ListQuery, InQuery()]
) -> Response:
    """List the hooks of one of your tasks, newest first."""
    async with call.gateway.database.reading() as session:
        await _own_task(session, call, task_id)
        page = await hooks.page(session, task_id, query.window())
    return answer(listing(call.request, query, page, [views.hook(row) for row in page.rows]))


@router.get("/tasks/{task_id}/hooks/{hook_id}", responses={200: {"model": HookRead}})
async def get_hook(call: Called, task_id: UUID, hook_id: UUID) -> Response:
    """Get a hook, without its URL."""
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, task_id, hook_id)
    return single(call.request, views.hook(row))


@router.delete("/tasks/{task_id}/hooks/{hook_id}", status_code=204)
async def delete_hook(call: Called, task_id: UUID, hook_id: UUID) -> Response:
    """Delete a hook; its URL stops working permanently."""
    async with call.gateway.database.transaction() as session:
        row = await _own(session, call, task_id, hook_id)
        require_match(call.request, views.hook(row))
        await hooks.delete(session, row)
        before = {"task_id": str(task_id), "name": row.name}
        entity, owner = ("hook", hook_id), row.user_id
        await audit.record(
            session, call.actor, "hook.delete", entity, before=before, owner_id=owner
        )
    return Response(status_code=204)


async def hooked(request: Request, token: str) -> tuple[Call, HookRow]:
    """The dependency that authenticates a hook by its token.

    Replaces the token in the path by the id of the hook, because the path appears in logs, errors
    and idempotency keys, which must not contain secrets.

    Raises:
        NotFoundError: no hook has this token.
        RateLimitedError: the address or the owner sent too many requests.
    """
    request.scope["path"] = f"{links.BASE}/hooks/…"
    gateway: Gateway = request.app.state.gateway
    async with gateway.database.reading() as session:
        row = await hooks.find_by_token(session, token)
    if row is None:
        gateway.authenticator.refused(address_of(request))
        raise NotFoundError(NO_HOOK)
    request.scope["path"] = f"{links.BASE}/hooks/{row.id}"
    if gateway.rates is not None:
        request.scope["rate_limit"] = gateway.rates.count(str(row.user_id)).headers
    name = f"hook {row.id}"
    owner = Principal(row.user_id, name, is_admin=False, trigger_type=TRIGGER_TYPE, is_hook=True)
    return Call(request, gateway, owner), row


@router.post(
    "/hooks/{token}",
    status_code=202,
    responses={202: {"model": HookAccepted}},
    openapi_extra={"requestBody": _ANY_OBJECT},
)
async def call_hook(called: Annotated[tuple[Call, HookRow], Depends(hooked)]) -> Response:
    """Execute the task of a hook. The top-level fields of the body are the variables."""
    call, hook = called
    payload = (await _PAYLOAD(call)).root

    service = partial(run_hook, hook_id=hook.id, task_id=hook.task_id, payload=payload)
    return await run_service(call, service, _render_accepted)


async def _render_accepted(_: Call, __: AsyncSession, row: ExecutionRow) -> Response:
    path = links.execution_path(row.id)
    read = HookAccepted(execution_id=row.id, status=row.status, links={"execution": path})
    return answer(read, 202, {"Location": path})


async def _own(session: AsyncSession, call: Call, task_id: UUID, hook_id: UUID) -> HookRow:
    await _own_task(session, call, task_id)
    row = await hooks.find(session, task_id, hook_id)
    if row is None:
        raise NotFoundError(f"Hook {hook_id} of this task does not exist.")
    return row


async def _own_task(session: AsyncSession, call: Call, task_id: UUID) -> None:
    """Only the owner of a task may see its hooks, not other users who may execute it."""
    task = await readable_task(session, call.caller, task_id)
    call.require_own(task.row.user_id, "task")


def _outside(call: Call) -> str:
    """The public URL of the gateway: from the settings, otherwise from the request."""
    public = call.gateway.settings.public_url
    return (public or str(call.request.base_url)).rstrip("/")
