"""Lists of other users' resources, which only admins may read; the audit log has each."""

from uuid import UUID

from services.caller import Caller
from services.unit_of_work import Services


async def choose_owner(
    services: Services, caller: Caller, *, user_id: UUID | None, all_users: bool, listed: str
) -> UUID | None:
    """Return the user whose resources are listed; None for those of all users.

    `listed` is the path of the list, for the audit log.

    Raises:
        PermissionDeniedError: they are another user's, and the caller is no admin.
    """
    if user_id in (None, caller.user_id) and not all_users:
        return caller.user_id
    caller.require_admin()
    async with services.transaction(caller) as work:
        entity = ("user", user_id or caller.user_id)
        after = {"list": listed, "all_users": user_id is None}
        await work.record_audit("user.list_others", entity, after=after)
    return user_id
