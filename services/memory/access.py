"""Whose memory a caller may read and write: their own, and namespaces that others granted."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFoundError, PerdureError, PermissionDeniedError
from domain.memory.entries import GrantMode, is_covered
from persistence.identity import users
from persistence.memory import grants
from services.caller import Caller


async def find_owner(session: AsyncSession, caller: Caller, owner: str | None) -> UUID:
    """Return the user whose memory is meant: the caller, or the user with this subject.

    Raises:
        NotFoundError: no user has this subject.
    """
    if owner is None or owner == caller.subject:
        return caller.user_id
    user = await users.find_by_subject(session, owner)
    if user is None:
        raise NotFoundError(f"There is no user {owner!r:.100}.")
    return user.id


async def list_granted(
    session: AsyncSession, caller: Caller, owner_id: UUID
) -> Collection[str] | None:
    """The namespaces of this user that the caller may read; None for all."""
    if caller.owns(owner_id):
        return None
    return [
        grant.namespace for grant in await grants.list_between(session, owner_id, caller.user_id)
    ]


async def require_access(
    session: AsyncSession, caller: Caller, owner_id: UUID, namespace: str, mode: GrantMode
) -> None:
    """Check that the caller may use a namespace of this user.

    Raises:
        PermissionDeniedError: the namespace is not granted; for an agent it does not exist.
    """
    if caller.owns(owner_id):
        return
    given = await grants.list_between(session, owner_id, caller.user_id)
    modes = {grant.mode for grant in given if is_covered(namespace, grant.namespace)}
    if not modes or (mode == "write" and "write" not in modes):
        raise _refusal(caller, namespace, readable=bool(modes))


def require_owner(caller: Caller, owner_id: UUID) -> None:
    """Check that the caller may delete entries of this user with all their versions.

    Raises:
        PermissionDeniedError: a grant to write is not enough, because nothing can bring them back.
    """
    if not caller.owns(owner_id):
        raise PermissionDeniedError("Only its owner can purge an entry; delete it without purge.")


def _refusal(caller: Caller, namespace: str, *, readable: bool) -> PerdureError:
    if readable:
        return PermissionDeniedError(
            f"You may read {namespace!r}, but not write it; ask its owner for a grant to write."
        )
    if caller.is_agent:
        return NotFoundError(f"There is no namespace {namespace!r}.")
    return PermissionDeniedError(f"{namespace!r} is not yours; ask its owner for a grant.")
