"""Routes for admins: users, and statistics."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing
from api.http.rendering import if_match, render_changed, render_created_with_secret, render_page
from api.http.request_context import Called
from api.http.responses import answer, single
from api.links import BASE
from api.users.schemas import (
    StatsRead,
    UserInvited,
    UserQuery,
    UserRead,
    render_stats,
    render_user,
    reveal_invitation,
)
from persistence.identity import users
from persistence.identity.users import UserFilter
from persistence.ledger import stats
from services.identity import invitations
from services.identity import users as services
from services.identity.invitations import UserInvite
from services.identity.users import UserUpdate

router = APIRouter(prefix=f"{BASE}/admin", tags=["admin"])


@router.get("/users", responses={200: {"model": Listing[UserRead]}})
async def list_users(call: Called, query: Annotated[UserQuery, Query()]) -> Response:
    """List all users, newest first."""
    call.caller.require_admin()
    async with call.gateway.database.reading() as session:
        page = await users.page(session, UserFilter(**query.filters()), query.window())
    return render_page(call, query, page, render_user)


@router.post("/users", status_code=201, responses={201: {"model": UserInvited}})
async def invite_user(
    call: Called, body: Annotated[UserInvite, Depends(JsonBody(UserInvite))]
) -> Response:
    """Create a user before their first request, with an API key to begin with.

    Only this response contains the key.
    """
    service = partial(invitations.invite_user, body=body)
    return await run_service(
        call,
        service,
        render_created_with_secret(UserRead, UserInvited, reveal_invitation, render_user),
    )


@router.get("/users/{user_id}", responses={200: {"model": UserRead}})
async def get_user(call: Called, user_id: UUID) -> Response:
    """Get a user."""
    async with call.gateway.database.reading() as session:
        row = await services.find_user(session, call.caller, user_id)
    return single(call.request, render_user(call, row))


@router.patch("/users/{user_id}", responses={200: {"model": UserRead}})
async def update_user(
    call: Called, user_id: UUID, update: Annotated[UserUpdate, Depends(JsonBody(UserUpdate))]
) -> Response:
    """Disable or enable a user, or set their quotas.

    The change takes effect at once on this gateway, and within seconds on others.
    """
    check = if_match(call, render_user)
    service = partial(services.update_user, user_id=user_id, update=update, precondition=check)
    return await run_service(call, service, render_changed(render_user))


@router.get("/stats", responses={200: {"model": StatsRead}})
async def get_stats(call: Called) -> Response:
    """Get how much there is of everything, what runs, and what today has cost."""
    call.caller.require_admin()
    async with call.gateway.database.reading() as session:
        found = await stats.load_stats(session)
    return answer(render_stats(found))
