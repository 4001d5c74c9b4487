"""Sign-ins of browsers, and one-time codes for them, which are opened where a terminal can't be."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import UnauthenticatedError
from persistence.db import idempotency
from services.unit_of_work import UnitOfWork

SignInMethod = Literal["token", "code", "provider"]

_NO_CONTENT = b""


async def create_code(work: UnitOfWork, *, expires_at: datetime) -> None:
    """Record that the caller gets a one-time code; the code itself is not stored."""
    entity = ("user", work.caller.user_id)
    after = {"expires_at": expires_at.isoformat()}
    await work.record_audit("user.create_sign_in_code", entity, after=after)


async def sign_in(
    work: UnitOfWork, *, code_id: str | None = None, method: SignInMethod = "token"
) -> None:
    """Record that the caller signs in. The id of a one-time code is used up by it.

    Raises:
        UnauthenticatedError: the code was used before.
    """
    if code_id is not None:
        await _use_up(work, code_id)
        method = "code"
    entity = ("user", work.caller.user_id)
    await work.record_audit("user.sign_in", entity, after={"method": method})


async def sign_out(work: UnitOfWork, *, session_id: str, expires_at: datetime) -> None:
    """End a session of the caller, which would expire then: copies of its cookie end, too."""
    user_id = work.caller.user_id
    key = _sign_out_key(user_id, session_id)
    await idempotency.store(work.session, key, 204, None, expires_at=expires_at)
    await work.record_audit("user.sign_out", ("user", user_id), after={})
    await work.forget_user(user_id)


async def is_signed_out(session: AsyncSession, user_id: UUID, session_id: str) -> bool:
    """Whether the user has signed out of this session."""
    return await idempotency.is_stored(session, _sign_out_key(user_id, session_id))


def _sign_out_key(user_id: UUID, session_id: str) -> idempotency.Key:
    """Ended sessions are kept like idempotency keys, until they would have expired."""
    return idempotency.Key(user_id, "sign-out", session_id, _NO_CONTENT)


async def _use_up(work: UnitOfWork, code_id: str) -> None:
    """Used codes are kept like idempotency keys: longer than a code is valid."""
    key = idempotency.Key(work.caller.user_id, "sign-in", code_id, _NO_CONTENT)
    if await idempotency.claim(work.session, key) is not None:
        raise UnauthenticatedError("This link was used before; create a new one.")
    await idempotency.store(work.session, key, 200, {})
