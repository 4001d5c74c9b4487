"""Invitations: an admin creates a user before their first request, with a key to begin with."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.errors import DuplicateNameError, PermissionDeniedError
from domain.people.requests import GROUP, group_of
from domain.scopes import Scope
from persistence.identity import users
from persistence.identity.api_keys import NewKey
from persistence.tables.ledger import UserRow
from services.field_types import Body, Moment
from services.identity.api_keys import ApiKeyCreate, issue_key
from services.identity.users import Role
from services.unit_of_work import UnitOfWork

KEY_NAME = "invitation"
"""The name of the key of an invited user, who can rotate or revoke it."""


def _refuse_group(subject: str) -> str:
    if group_of(subject) is not None:
        raise ValueError(f"A user's name must not begin with {GROUP}, which names a group.")
    return subject


class UserInvite(Body):
    """A new user. Without `expires_at`, their first key is valid until it is revoked."""

    subject: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"\S",
            description=(
                "The `sub` of the user's tokens, as the provider of sign-ins has it; it must not "
                f"begin with `{GROUP}`."
            ),
        ),
        AfterValidator(_refuse_group),
    ]
    role: Role = "user"
    expires_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """The new user and their first key."""

    row: UserRow
    key: NewKey


async def invite_user(work: UnitOfWork, body: UserInvite) -> Invitation:
    """Create a user and an API key of theirs, which may approve because a person signs in with it.

    Raises:
        DuplicateNameError: there is a user with this subject.
    """
    work.caller.require_admin()
    if work.caller.api_key_id is not None:
        raise PermissionDeniedError("An API key cannot create API keys; use a token.")
    if await users.find_by_subject(work.session, body.subject) is not None:
        raise DuplicateNameError(f"There is a user {body.subject!r} already.")
    user = await users.find_or_create(work.session, body.subject, body.role)
    after = {"subject": user.subject, "role": user.role}
    await work.record_audit("user.invite", ("user", user.id), after=after)
    key = ApiKeyCreate.model_construct(
        name=KEY_NAME, role=body.role, scopes=(Scope.APPROVE,), expires_at=body.expires_at
    )
    return Invitation(user, await issue_key(work, user.id, key))
