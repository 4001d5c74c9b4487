"""API keys: created by people, used by programs."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import PermissionDeniedError
from domain.scopes import Scope
from persistence.db.paging import Page, Window
from persistence.identity import api_keys
from persistence.identity.api_keys import NewKey
from persistence.tables.ledger import ApiKeyRow
from services.caller import Caller
from services.definitions.inputs import Name
from services.definitions.resources import Resource
from services.field_types import Body, Moment
from services.identity.users import Role
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

MAX_LIFETIME = timedelta(days=3650)
"""Of a key that expires: ten years (chosen)."""


class ApiKeyCreate(Body):
    """A new API key. Without `expires_at` it is valid until it is revoked."""

    name: Name
    expires_at: Moment | None = None
    role: Role = "user"
    scopes: Annotated[
        tuple[Scope, ...],
        Field(
            max_length=len(Scope),
            description="With `approve`, the key can decide about tool calls, plans, budgets and "
            "interrupted calls. Don't give it to a key that a model uses.",
        ),
    ] = ()


class ApiKeys(Resource[ApiKeyRow]):
    """The declaration of API keys."""

    entity, noun, delete_verb = "api_key", "API key", "revoke"

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> ApiKeyRow:
        """Return a key of the caller that is not revoked (`Resource.find`)."""
        return caller.own(await api_keys.find(session, key, lock=lock), self.noun, key)

    async def page(self, session: AsyncSession, caller: Caller, window: Window) -> Page[ApiKeyRow]:
        """Return a page of the caller's keys that are not revoked."""
        return await api_keys.page(session, caller.user_id, window)

    def audited_fields(self, row: ApiKeyRow) -> Mapping[str, Any]:
        """Return all fields but the secret."""
        expires_at = row.expires_at.isoformat() if row.expires_at else None
        return {
            "name": row.name,
            "prefix": row.prefix,
            "role": row.role,
            "scopes": list(row.scopes),
            "expires_at": expires_at,
        }

    async def remove(self, work: UnitOfWork, row: ApiKeyRow) -> None:
        """Revoke a locked key: at once in this process, within seconds in others."""
        await api_keys.revoke(work.session, row)
        await work.forget_user(row.user_id)


API_KEYS = ApiKeys()


async def create_api_key(work: UnitOfWork, body: ApiKeyCreate) -> NewKey:
    """Create an API key of the caller."""
    _require_person(work.caller)
    if body.role == "admin":
        work.caller.require_admin()
    return await issue_key(work, work.caller.user_id, body)


async def rotate_api_key(work: UnitOfWork, key_id: UUID) -> NewKey:
    """Replace a key of the caller by a new one that is the same but for its id and its secret.

    The old one is revoked. A key that expires gets as much time as it had.

    Raises:
        PermissionDeniedError: it is another user's, or its role is admin and the caller's is not.
    """
    _require_person(work.caller)
    old = await API_KEYS.find(work.session, work.caller, key_id, lock=True)
    if old.user_id != work.caller.user_id:
        raise PermissionDeniedError(
            "Only its user can rotate an API key, because the new secret acts as that user; you "
            "can revoke it."
        )
    if old.role == "admin":
        work.caller.require_admin()
    await API_KEYS.remove(work, old)
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
    fields = {"name": old.name, "role": old.role, "scopes": old.scopes, "expires_at": expires_at}
    before = API_KEYS.audited_fields(old)
    await work.record_audit("api_key.rotate", ("api_key", old.id), before=before)
    return await issue_key(work, old.user_id, ApiKeyCreate.model_validate(fields))


async def issue_key(work: UnitOfWork, user_id: UUID, body: ApiKeyCreate) -> NewKey:
    """Create an API key of any user.

    Raises:
        InvalidInputError: it would end in the past, or too late.
    """
    now = datetime.now(UTC)
    if body.expires_at is not None and not now < body.expires_at <= now + MAX_LIFETIME:
        msg = "Choose a time in the future, at most ten years from now."
        raise refuse_field("The API key is invalid; see errors.", "expires_at", msg)
    key = await api_keys.create(
        work.session,
        user_id,
        name=body.name,
        role=body.role,
        scopes=tuple(dict.fromkeys(body.scopes)),
        expires_at=body.expires_at,
    )
    after = API_KEYS.audited_fields(key.row)
    entity = ("api_key", key.row.id)
    await work.record_audit("api_key.create", entity, after=after, owner_id=user_id)
    return key


def _require_person(caller: Caller) -> None:
    if caller.api_key_id is not None:
        raise PermissionDeniedError("An API key cannot create API keys; use a token.")
