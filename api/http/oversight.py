"""Whose resources a list contains: the caller's, or for admins those of others."""

from uuid import UUID

from api.http.paging import OwnedQuery
from api.http.request_context import Call
from services.identity import oversight


async def choose_owner(call: Call, query: OwnedQuery) -> UUID | None:
    """Return the user whose resources are listed; None for those of all users."""
    return await oversight.choose_owner(
        call.services,
        call.caller,
        user_id=query.user_id,
        all_users=query.all_users,
        listed=call.request.url.path,
    )
