"""API keys. Only the hash of a key is stored, and the key is found by it."""

import hashlib
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import DuplicateNameError
from persistence.db.paging import Page, Window, newest
from persistence.tables.ledger import ApiKeyRow, UserRow

PREFIX = "pdk_"
"""The prefix of keys, which distinguishes them from tokens and is known to secret scanners."""

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 43
"""256 bits can't be guessed, so a plain hash is enough."""
_SHOWN = len(PREFIX) + 6

USED_EVERY = timedelta(minutes=1)
"""The precision of the last use: otherwise each request would write (chosen)."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its secret, which can't be read again."""

    row: ApiKeyRow
    secret: str


async def create(
    session: AsyncSession,
    user_id: UUID,
    *,
    name: str,
    role: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
) -> NewKey:
    """Create a key.

    Raises:
        DuplicateNameError: the user has a key with this name.
    """
    secret = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    row = ApiKeyRow(
        user_id=user_id,
        name=name,
        prefix=secret[:_SHOWN],
        sha256=_hash(secret),
        role=role,
        scopes=list(scopes),
        expires_at=expires_at,
    )
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise DuplicateNameError(
            f"You already have an API key named {name!r}; choose another name."
        ) from error
    await session.refresh(row)
    return NewKey(row, secret)


async def authenticate(session: AsyncSession, secret: str) -> tuple[ApiKeyRow, UserRow] | None:
    """The valid key with this secret and its user; its last use is stored, to the minute."""
    found = await session.execute(
        select(ApiKeyRow, UserRow)
        .join(UserRow, UserRow.id == ApiKeyRow.user_id)
        .where(ApiKeyRow.sha256 == _hash(secret), ApiKeyRow.revoked_at.is_(None))
    )
    row = found.one_or_none()
    now = datetime.now(UTC)
    if row is None or (row[0].expires_at is not None and row[0].expires_at <= now):
        return None
    key, user = row
    if key.last_used_at is None or key.last_used_at < now - USED_EVERY:
        key.last_used_at = now
        await session.flush()
    return key, user


async def find(session: AsyncSession, key_id: UUID, *, lock: bool = False) -> ApiKeyRow | None:
    """The key, unless it is revoked."""
    row = await session.get(ApiKeyRow, key_id, with_for_update=lock)
    return None if row is None or row.revoked_at is not None else row


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[ApiKeyRow]:
    """The user's keys that are not revoked."""
    condition = and_(ApiKeyRow.user_id == user_id, ApiKeyRow.revoked_at.is_(None))
    return await newest(session, ApiKeyRow, ApiKeyRow.id, [condition], window)


async def revoke(session: AsyncSession, row: ApiKeyRow) -> None:
    """Revoke a locked key."""
    row.revoked_at = datetime.now(UTC)
    await session.flush()


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
