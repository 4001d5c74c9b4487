"""Hooks. Only the hash of a hook's token is stored, and the hook is found by it."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.paging import Page, Window, newest
from persistence.tables.definitions import HookRow

PREFIX = "pdh_"
"""The prefix of tokens, by which secret scanners recognise them."""

_TOKEN_BYTES = 32
"""256 bits can't be guessed, so a plain hash is enough."""

USED_EVERY = timedelta(minutes=1)
"""The precision of the last use: otherwise each request would write (chosen)."""


@dataclass(frozen=True, slots=True)
class NewHook:
    """A hook and its token, which can't be read again."""

    row: HookRow
    token: str


async def create(
    session: AsyncSession, task_id: UUID, owner_id: UUID, *, name: str | None
) -> NewHook:
    """Create a hook for a task."""
    token = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    row = HookRow(task_id=task_id, user_id=owner_id, name=name, token_sha256=_hash(token))
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return NewHook(row, token)


async def find(session: AsyncSession, task_id: UUID, hook_id: UUID) -> HookRow | None:
    """A hook of this task."""
    return await session.scalar(
        select(HookRow).where(HookRow.id == hook_id, HookRow.task_id == task_id)
    )


async def find_by_token(session: AsyncSession, token: str) -> HookRow | None:
    """The hook with this token."""
    return await session.scalar(select(HookRow).where(HookRow.token_sha256 == _hash(token)))


async def mark_used(session: AsyncSession, hook_id: UUID) -> bool:
    """Store when the hook was last called; False if it was deleted meanwhile."""
    row = await session.get(HookRow, hook_id)
    if row is None:
        return False
    now = datetime.now(UTC)
    if row.last_used_at is None or now - row.last_used_at > USED_EVERY:
        await session.execute(
            update(HookRow).where(HookRow.id == hook_id).values(last_used_at=now),
            execution_options={"synchronize_session": False},
        )
    return True


async def page(session: AsyncSession, task_id: UUID, window: Window) -> Page[HookRow]:
    """The hooks of a task."""
    return await newest(session, HookRow, HookRow.id, [HookRow.task_id == task_id], window)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
