"""Stored responses for repeated requests, one for each user, route and Idempotency-Key.

A key is claimed with an advisory lock of the transaction that handles the request. So a second
request sees at once that the first one is still handled, and a crash leaves nothing to clean up.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import IdempotencyInProgressError, IdempotencyKeyReusedError
from persistence.tables.ledger import IdempotencyKeyRow

KEPT_FOR = timedelta(hours=24)
"""How long a repeated request gets the first response (chosen)."""


@dataclass(frozen=True, slots=True)
class Key:
    """One request of a user; `request_sha256` identifies its content.

    `identifies_delivery`: the key is the id of a webhook delivery, which may differ in content.
    """

    user_id: UUID
    route: str
    key: str
    request_sha256: bytes
    identifies_delivery: bool = False

    @property
    def lock(self) -> int:
        """The advisory lock of this key. Keys with the same 64 bits only wait for each other."""
        text = f"{self.user_id}\0{self.route}\0{self.key}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response to the first request."""

    status: int
    response: Any


async def claim(session: AsyncSession, key: Key) -> StoredResponse | None:
    """The response to the first such request, or None if this transaction is the first.

    Raises:
        IdempotencyInProgressError: the first one is still handled.
        IdempotencyKeyReusedError: the first one had other content.
    """
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(key.lock))):
        raise IdempotencyInProgressError(
            "A request with this Idempotency-Key is still being handled; try again in a moment."
        )
    return await find_response(session, key)


async def find_response(session: AsyncSession, key: Key) -> StoredResponse | None:
    """The response to the first request with this key, if it is stored.

    Raises:
        IdempotencyKeyReusedError: the first one had other content.
    """
    row = await session.get(IdempotencyKeyRow, (key.user_id, key.route, key.key))
    if row is None or row.status is None or row.expires_at <= datetime.now(UTC):
        return None
    if row.request_sha256 != key.request_sha256:
        raise IdempotencyKeyReusedError(
            "This Idempotency-Key came before with another body; use a new key for a new request."
        )
    return StoredResponse(row.status, row.response)


async def is_stored(session: AsyncSession, key: Key) -> bool:
    """Whether the key has a response."""
    return await session.get(IdempotencyKeyRow, (key.user_id, key.route, key.key)) is not None


async def store(
    session: AsyncSession,
    key: Key,
    status: int,
    response: Any,
    *,
    expires_at: datetime | None = None,
) -> None:
    """Store the response, in the transaction that claimed the key; for `KEPT_FOR` if not longer."""
    values = {
        "request_sha256": key.request_sha256,
        "status": status,
        "response": response,
        "expires_at": expires_at or datetime.now(UTC) + KEPT_FOR,
    }
    await session.execute(
        insert(IdempotencyKeyRow)
        .values(user_id=key.user_id, route=key.route, key=key.key, **values)
        .on_conflict_do_update(
            index_elements=[
                IdempotencyKeyRow.user_id,
                IdempotencyKeyRow.route,
                IdempotencyKeyRow.key,
            ],
            set_=values,
        )
    )


EXPIRE = text("""
DELETE FROM idempotency_keys WHERE (user_id, route, key) IN (
    SELECT user_id, route, key FROM idempotency_keys
    WHERE expires_at <= now() ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED
)
RETURNING 1
""")


async def delete_expired(session: AsyncSession, *, batch: int) -> int:
    """Delete up to `batch` expired keys; returns how many."""
    return len((await session.execute(EXPIRE, {"batch": batch})).all())
